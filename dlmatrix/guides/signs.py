"""What a step's words say of why it ended: the index, data, a GPU, a person, a file that is not there."""

from __future__ import annotations

import re

#: A small project that every index has, and that guides are not about: its answer tells an index that has no file for
#: this Python from one that does not answer.
CONTROL = "six"
OF_INDEX = re.compile(
    r"No matching distribution|Could not find a version|from versions: none|ConnectionError|NewConnectionError"
    r"|NameResolution|Connection refused|Temporary failure|Max retries|ReadTimeout|timed out|SSLError|CERTIFICATE"
    r"|ProxyError|HTTP error|Could not fetch|Network is unreachable",
    re.I,
)
#: What pip says where a place does not answer, and where one does and has nothing that fits.
OF_CONNECTION = re.compile(
    r"Max retries exceeded|ConnectionError|NewConnectionError|NameResolution|Connection refused|Network is unreachable"
    r"|Temporary failure|timed out|HTTP error 4(?:03|07)|\b403 Client Error"
)
OF_NO_FILE = re.compile(r"No matching distribution|Could not find a version")
#: What a silent index says of why, and what that is in words.
_WHY_SILENT = (
    (
        re.compile(r"CERTIFICATE_VERIFY_FAILED|SSLCertVerification", re.I),
        "its certificate is not trusted here (SSL_CERT_FILE)",
    ),
    (re.compile(r"SSLError|SSL:", re.I), "what answers does not speak TLS as it is asked to"),
    (re.compile(r"\b(401|403|407|429|5\d\d) (?:Client|Server) Error"), "it refuses ({})"),
)
OF_DATA = re.compile(
    r"URL fetch failure|urlopen error|Max retries exceeded|ConnectionError|Connection refused|No route to host"
    r"|Name or service not known|Temporary failure in name resolution|HTTPError|RemoteDisconnected|Failed to download"
    r"|couldn't connect to|Network is unreachable"
)
OF_GPU = re.compile(
    r"No CUDA GPUs are available|Found no NVIDIA driver|not compiled with CUDA enabled|no CUDA-capable|NVIDIA-SMI has"
    r"|CUDA driver version is insufficient|Attempting to deserialize object on a CUDA device|nvidia-smi: command not"
)
#: What a program asks whose answer is another one without a GPU.
ASKS_GPU = re.compile(
    r"cuda\.is_available|cuda\.device_count|is_built_with_cuda|is_gpu_available|list_physical_devices|list_local_devices"
    r"|gpu_device_name"
)
OF_PERSON = re.compile(
    r"EOFError: EOF when reading|no display name|cannot connect to X|could not connect to display|getpass"
    r"|[\[(](?:y/n|yes/no)[\])]|press (?:enter|return|any key)|^(?:enter )?(?:pass(?:word|phrase)|username)\b.*: *$",
    re.I | re.M,
)
#: What a machine, or this world's limits, say of no guide.
OF_MACHINE = re.compile(
    r"No space left on device|Disk quota exceeded|File too large|File size limit exceeded|Cannot allocate memory"
    r"|MemoryError|std::bad_alloc|DefaultCPUAllocator: can't allocate|Too many open files"
    r"|Input/output error|Resource temporarily unavailable|can't start new thread"
)
#: A program that is none here.
OF_ARCHITECTURE = re.compile(r"Exec format error")
#: What only root may write to, and here nobody.
OF_ROOT = re.compile(
    r"Read-only file system|Permission denied: '/(?:usr|etc|opt|srv|var|lib|boot)\b"
    r"|/(?:usr|etc|opt|srv|var|lib|boot)\b\S*: Permission denied"
)
OF_FILE = re.compile(
    r"No such file or directory:? ?'?([^\s']+)|can't open file '?([^\s']+)|([\w./-]+): No such file or directory"
    r"|No rule to make (target [`'][^']+')|[Nn]o (makefile) found|does not appear to contain (CMakeLists\.txt)"
)

#: An archive that is not there; what unpacks it says more behind that.
OF_ARCHIVE = re.compile(r"^tar(?: \(child\))?: ([^\s:]+): Cannot open: No such|cannot find or open ([^\s,]+)", re.M)


def why_silent(said: str) -> str:
    """Why an index gave nothing, behind a colon, by what pip says at length; empty where it just does not answer."""
    for sign, words in _WHY_SILENT:
        if found := sign.search(said):
            return ": " + words.format(*found.groups())
    return ""


def cause(said: str) -> str:
    """The line that says most: the last exception, else pip's own error, else the last line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    raised = [line for line in lines if _RAISED.match(line)]
    errors = [line for line in lines if re.match(r"(?:error|ERROR)[: ]", line)]
    named = [line for line in lines if _NAMED.search(line)]
    return (named or raised[-1:] or errors or lines[-1:] or ["it said nothing"])[0][:400]


_RAISED = re.compile(r"(?!subprocess\.|\S*Warning)(?:[\w.]+\.)?\w*(?:Error|Exception|Interrupt|NotFound)\b(?:: |$)")
#: What says more than the exception that it ends in.
_NAMED = re.compile(
    r"PyPI package is deprecated|InvalidRequirement: |No matching distribution found|error in \S+ setup command: "
)


def line_of(said: str, found: re.Match[str]) -> str:
    """The whole line that a match is in."""
    start = said.rfind("\n", 0, found.start()) + 1
    return said[start : said.find("\n", found.end()) if "\n" in said[found.end() :] else None].strip()[:300]
