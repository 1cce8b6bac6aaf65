"""Plant faults in a real framework's environment and see each caught by the check that should catch it.

``python tests/image/mutations.py torch|tf1|tf2`` runs with an env's own interpreter and nothing else
installed, inside a container or outside; it prints one JSON table and exits 1 if a fault went unseen.
Python 3.7 syntax, as in smoke/.
"""

import argparse
import json
import os
import sys
import tempfile

# In a container the program comes as text, and smoke is on the path already.
if "__file__" in globals():
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from smoke import supervise

# As a run's own child has it, before anything reads it: threads that spin longer take the processors from other tests.
os.environ.update(supervise.environment(2))

import numpy

from smoke import backends, catalog, child, digits, distributions, gpu, guides, model, parity
from smoke.context import Context

#: (name, id of the check that has to catch it, frameworks or None for all, function that plants it)
MUTATIONS = []


class Plant:
    """What a fault may touch, and how it is taken out again."""

    def __init__(self, context, folder):
        self.context = context
        self.folder = folder
        self.undo = []

    @property
    def backend(self):
        return self.context.backend

    def patch(self, owner, name, value):
        """Set an attribute."""
        own = name in vars(owner)
        self.undo.append((owner, name, own, getattr(owner, name)))
        setattr(owner, name, value)

    def wrap(self, owner, name, around):
        """Replace a function by ``around(original, *arguments)``."""
        original = getattr(owner, name)
        self.patch(owner, name, lambda *args, **kwargs: around(original, *args, **kwargs))

    def distribution(self, name, version, metadata=""):
        """Put a distribution's metadata on sys.path."""
        place = os.path.join(self.folder, "{}-{}.dist-info".format(name.replace("-", "_"), version))
        os.makedirs(place)
        with open(os.path.join(place, "METADATA"), "w") as stream:
            stream.write(f"Name: {name}\nVersion: {version}\n{metadata}\n\n")
        self.patch(sys, "path", [*sys.path, self.folder])

    def beside(self, name, version):
        """Another distribution in the folder of the framework, which an image does not let anybody write to."""
        every = list(distributions.folders())
        own = next(folder for found, _, folder in every if found == self.context.expect["distribution"])
        second = (name, version, os.path.join(os.path.dirname(own), f"{name}-{version}.dist-info"))
        self.patch(distributions, "folders", lambda path=None: [*every, second])

    def remove(self):
        """Everything as it was."""
        for owner, name, own, value in reversed(self.undo):
            if own:
                setattr(owner, name, value)
            else:
                delattr(owner, name)


def fault(name, check, frameworks=None):
    """Register the function below as a fault that ``check`` has to catch."""

    def register(plant):
        MUTATIONS.append((name, check, frameworks, plant))
        return plant

    return register


def operation(name, check, target, change):
    """A fault in one operation: ``change(arrays, attributes, compute)`` gives output and gradients."""

    @fault(name, check)
    def plant(p):
        def around(original, op, arrays, attributes, upstream, **how):
            def compute(arrays=arrays, attributes=attributes, op=op, upstream=upstream):
                return original(op, arrays, attributes, upstream, **how)

            return change(arrays, attributes, compute) if op == target else compute()

        p.wrap(p.backend, "op", around)


def but(values, **changes):
    """The dictionary with some values replaced."""
    return dict(values, **changes)


def gradient(compute, name, change):
    """The same output; one gradient changed."""
    output, grads = compute()
    return output, but(grads, **{name: change(grads[name])}) if name in grads else grads


operation(
    "kernel turned by 180 degrees", "conv2d", "conv2d",
    lambda a, t, run: run(but(a, kernel=a["kernel"][::-1, ::-1].copy())),
)  # fmt: skip
operation("kernel transposed", "conv2d", "conv2d", lambda a, t, run: run(transposed(a), t, upstream=None))
operation(
    "stride of rows and columns swapped",
    "conv2d",
    "conv2d",
    lambda a, t, run: run(a, but(t, stride=t["stride"][::-1]), upstream=None),
)
operation("dilation ignored", "conv2d", "conv2d", lambda a, t, run: run(a, but(t, dilation=(1, 1)), upstream=None))
operation("padding ignored", "conv2d", "conv2d", lambda a, t, run: run(a, but(t, pad=(0, 0)), upstream=None))
operation("convolution's bias left out", "conv2d", "conv2d", lambda a, t, run: run(but(a, bias=0 * a["bias"])))
operation(
    "channels in the wrong order",
    "conv2d",
    "conv2d",
    lambda a, t, run: run(but(a, kernel=a["kernel"][:, :, ::-1].copy())),
)
operation(
    "convolution's input gradient doubled", "conv2d", "conv2d", lambda a, t, run: gradient(run, "x", lambda g: 2 * g)
)
operation("max pooling averages", "pooling", "max_pool", lambda a, t, run: run(op="avg_pool"))
operation(
    "pooling window one too large",
    "pooling",
    "avg_pool",
    lambda a, t, run: run(a, but(t, size=t["size"] + 1), upstream=None),
)
operation("global pooling adds", "pooling", "global_avg_pool", lambda a, t, run: (run()[0] * 143, run()[1]))
operation(
    "dense kernel's gradient is zero", "dense", "dense", lambda a, t, run: gradient(run, "kernel", lambda g: 0 * g)
)
operation(
    "half precision in the matrix product", "dense", "dense",
    lambda a, t, run: run(but(a, x=a["x"].astype("float16").astype(float))),
)  # fmt: skip
operation("ReLU leaks", "activations", "relu", lambda a, t, run: (run()[0] + 0.01 * numpy.minimum(a["x"], 0), run()[1]))
operation(
    "ReLU passes gradients below zero", "activations", "relu", lambda a, t, run: gradient(run, "x", lambda g: g + 1)
)
operation("softmax without its maximum taken out", "activations", "softmax", lambda a, t, run: naive(a, run))
operation(
    "labels shifted by one",
    "cross-entropy",
    "cross_entropy",
    lambda a, t, run: run(but(a, labels=(a["labels"] + 1) % 10)),
)
operation("a NaN in the loss", "cross-entropy", "cross_entropy", lambda a, t, run: (run()[0] * float("nan"), run()[1]))
operation("one bit of one number", "dense", "dense", lambda a, t, run: flipped(run))


def transposed(arrays):
    return but(arrays, kernel=arrays["kernel"].transpose(1, 0, 2, 3).copy())


def naive(arrays, run):
    with numpy.errstate(over="ignore", invalid="ignore"):
        powers = numpy.exp((10 * arrays["x"]).astype("float32"))
        return powers / powers.sum(-1, keepdims=True), run()[1]


def flipped(run):
    output, grads = run()
    output = output.copy()
    output.view("uint8")[..., 3 if output.itemsize == 4 else 7] ^= 1
    return output, grads


def settings(name, check, method, rule, **changes):
    """A fault in what an optimiser or a schedule is given."""

    @fault(name, check)
    def plant(p):
        def around(original, kind, given, *rest):
            return original(kind, but(given, **changes) if kind == rule else given, *rest)

        p.wrap(p.backend, method, around)


settings("SGD's rate doubled", "optimisers", "optimise", "sgd", rate=0.2)
settings("wrong momentum", "optimisers", "optimise", "momentum", momentum=0.8)
settings("Adam's epsilon wrong", "optimisers", "optimise", "adam", epsilon=1e-8)
settings("Adam's second beta wrong", "optimisers", "optimise", "adam", beta2=0.99)
settings("RMSprop's epsilon wrong", "optimisers", "optimise", "rmsprop", epsilon=1e-8)
settings("decay factor wrong", "lr-decay", "decay", "step", factor=0.6)
settings("decay one step late", "lr-decay", "decay", "exponential", every=5)


@fault("decay without its stairs", "lr-decay")
def _(p):
    p.wrap(p.backend, "decay", lambda original, schedule, *rest: original("exponential", *rest))


@fault("the gradient's sign is wrong", "optimisers")
def _(p):
    p.wrap(p.backend, "optimise", lambda original, rule, s, w, grads: original(rule, s, w, [-g for g in grads]))


@fault("Glorot where He was asked for", "initialisers")
def _(p):
    p.wrap(p.backend, "initial", lambda original, scheme, *a, **k: original(scheme.replace("he_", "glorot_"), *a, **k))


@fault("the initialiser's seed is ignored", "initialisers")
def _(p):
    p.wrap(
        p.backend, "initial", lambda original, scheme, shape, seed: original(scheme, shape, numpy.random.randint(10**6))
    )


def batch_norm(name, change_settings=None, change=None):
    """A fault in batch normalisation."""

    @fault(name, "batch-norm")
    def plant(p):
        def around(original, x, given, steps):
            found = original(x, but(given, **(change_settings or {})), steps)
            return change(found) if change else found

        p.wrap(p.backend, "batch_norm", around)


batch_norm("batch normalisation's epsilon wrong", {"epsilon": 1e-1})
batch_norm("momentum by the other framework's convention", {"keep": 0.1})
batch_norm("a stale running mean", change=lambda found: but(found, mean=0 * found["mean"]))
batch_norm("the batch's statistics at inference", change=lambda found: but(found, infer=found["train"]))
batch_norm("gamma gets no gradient", change=lambda found: but(found, dgamma=0 * found["dgamma"]))


def dropout(name, change):
    """A fault in dropout: ``change(original, x, rate, training, seed)``."""

    @fault(name, "dropout")
    def plant(p):
        p.wrap(p.backend, "dropout", change)


dropout("dropout left on at inference", lambda run, x, rate, training, seed: run(x, rate, True, seed=seed))
dropout("dropout never on", lambda run, x, rate, training, seed: run(x, rate, False, seed=seed))
dropout("dropout keeps the rate's share", lambda run, x, rate, training, seed: run(x, 1 - rate, training, seed=seed))
dropout("dropout does not scale", lambda run, x, rate, training, seed: run(x, rate, training, seed=seed).clip(0, 1))


def classifier(name, check, change, frameworks=None):
    """A fault in the CNN: ``change(network)`` alters one that was just made."""

    @fault(name, check, frameworks)
    def plant(p):
        def around(original, **how):
            network = original(**how)
            change(network)
            return network

        p.wrap(p.backend, "classifier", around)


def made(name, check, **changes):
    """A fault in how the CNN is asked for."""

    @fault(name, check)
    def plant(p):
        p.wrap(p.backend, "classifier", lambda original, **how: original(**but(how, **changes)))


def without_update(network):
    network.step = lambda x, y: network.gradients(x, y)[0]


def with_noise(network):
    assign = network.assign
    network.assign = lambda weights: assign({name: w * numpy.float32(1.001) for name, w in weights.items()})


def rows_shuffled(network):
    assign = network.assign
    network.assign = lambda weights: assign(but(weights, **{"dense1/kernel": weights["dense1/kernel"][::-1].copy()}))


def saves_another(network):
    weights = {name: w + numpy.float32(0.01) for name, w in network.weights().items()}
    save = network.save

    def wrong(folder):
        network.assign(weights)
        save(folder)

    network.save = wrong


def gradient_lost(network):
    original = network.gradients

    def wrong(x, y):
        loss, grads = original(x, y)
        return loss, but(grads, **{"conv1/kernel": grads["conv1/kernel"] * 0})

    network.gradients = wrong


def gradient_nan(network):
    original = network.gradients

    def wrong(x, y):
        loss, grads = original(x, y)
        return loss, but(grads, **{"conv2/bias": grads["conv2/bias"] * float("nan")})

    network.gradients = wrong


classifier("the update is left out", "training-step", without_update)
classifier("a layer gets no gradient", "training-step", gradient_lost)
classifier("a NaN in a gradient", "training", gradient_nan)
classifier("weights off by a thousandth", "parity", with_noise)
classifier("flattened in another order", "parity", rows_shuffled)
classifier("saving writes other weights", "reload", saves_another)
made("a rate of zero", "training", rate=0.0)
made("an exploding rate", "training", rate=1e4)
made("another rate in parity", "parity", rate=parity.RATE * 1.05)


@fault("the seed is ignored", "determinism")
def _(p):
    p.wrap(p.backend, "classifier", lambda original, **how: original(**but(how, seed=numpy.random.randint(10**6))))


@fault("kernels of five by five", "model-parameters")
def _(p):
    p.patch(model, "KERNEL", 5)


@fault("shuffled labels", "training")
def _(p):
    data = digits.Digits()
    data.train_y = numpy.random.RandomState(0).permutation(data.train_y)
    p.context.once("digits", lambda: data)


@fault("batches in another order", "parity")
def _(p):
    problem = parity.Problem(digits.Digits())
    problem.batches = problem.batches[::-1]
    p.context.once("parity", lambda: problem)


def loader(name, change):
    """A fault in what the loader delivers."""

    @fault(name, "data-loading")
    def plant(p):
        p.wrap(p.backend, "load_all", lambda original, *arguments: change(original(*arguments)))


loader("the last batch is dropped", lambda given: given[:-1])
loader("a sample comes twice", lambda given: [numpy.concatenate([given[0][:1], given[0][:-1]]), *given[1:]])
loader("a sample is torn", lambda given: [given[0] + numpy.eye(len(given[0]), given[0].shape[1]), *given[1:]])


@fault("the loader does not shuffle", "data-loading")
def _(p):
    p.patch(
        p.backend, "load_all", lambda samples, batch: [samples[i : i + batch] for i in range(0, len(samples), batch)]
    )


@fault("a wrong version", "version-pin")
def _(p):
    p.context.expect["version"] += ".post1"


@fault("a CUDA wheel in a cpu env", "cpu-guard")
def _(p):
    p.distribution("nvidia-cublas-cu12", "12.1.3.1")


@fault("a second TensorFlow", "duplicates", ("tf1", "tf2"))
def _(p):
    p.beside("tensorflow-gpu", "2.10.1")


@fault("a second torch", "duplicates", ("torch",))
def _(p):
    p.beside("torch", "2.0.1")


@fault("a requirement is missing", "requirements")
def _(p):
    p.distribution("framework", "1.0", "Requires-Dist: numpy\nRequires-Dist: not-there (>=1)")
    p.context.expect["distribution"] = "framework"


@fault("a requirement in another version", "requirements")
def _(p):
    p.distribution("framework", "1.0", "Requires-Dist: numpy==0.1")
    p.context.expect["distribution"] = "framework"


@fault("compiled for another NumPy", "numpy-abi")
def _(p):
    # What torch 2.2.2 says beside NumPy 2: its tensors no longer know arrays.
    def refuse(*_, **__):
        raise RuntimeError("Numpy is not available")

    p.patch(p.backend, "op", refuse)


@fault("shared memory of no size", "shared-memory")
def _(p):
    from smoke.checks import shared_memory

    p.patch(shared_memory, "FOLDER", "/proc")


@fault("a library of the framework is missing", "imports")
def _(p):
    def refuse(*_):
        raise ImportError("libframework.so.2: cannot open shared object file: No such file or directory")

    p.patch(backends, "load", refuse)
    p.context._memory.pop("backend")


@fault("a CPU build in a gpu env", "build-flags")
def _(p):
    p.context.expect["variant"] = "gpu"


@fault("a CPU build where CUDA is promised", "cuda-identity")
def _(p):
    p.context.expect.update(variant="gpu", cuda="13.0")


@fault("a CPU distribution in a gpu env", "gpu-guard")
def _(p):
    p.context.expect["distribution"] = "tensorflow-cpu"


@fault("an unknown warning in the log", "log-clean")
def _(p):
    p.context.log = ["2026-11-24 08:00:00.1: W tensorflow/core/util.cc:1] something new"]


@fault("an exception in the log", "log-clean")
def _(p):
    p.context.log = ["Traceback (most recent call last):", "KeyError: 1"]


@fault("a container with a network", "hermetic")
def _(p):
    from smoke.checks import hermetic

    p.context.expect["hermetic"] = True
    p.patch(hermetic, "observe", lambda: but(CLOSED, network=["eth0"]))


@fault("a witness of the GPU hangs", "detection")
def _(p):
    facts = gpu.facts(p.context)
    p.context._memory["detection"] = (but(facts, nvml={"witness": {"status": "hang"}}), None)


@fault("the guide's program gives another sum", "guide-session-add", ("tf1", "tf2"))
def _(p):
    for name in ("session_add", "session_add_working"):
        program(p, name, "print('The Session graph is empty'); raise SystemExit('The Session graph is empty')")


@fault("the guide's gradient is lost", "guide-torch-add", ("torch",))
def _(p):
    program(p, "torch_add", "import torch\nprint(torch.tensor(1.0) + 2)")


def program(p, name, text):
    with open(os.path.join(p.folder, name + ".py"), "w") as stream:
        stream.write(text + "\n")
    p.patch(guides, "FOLDER", p.folder)


CLOSED = {"network": [], "read-only root": True, "capabilities": 0, "no new privileges": True, "user": 1000}


def expectations(backend, installed):
    """What this very environment would be expected to be."""
    name = next(name for name in backend.DISTRIBUTIONS if name in installed)
    return {"variant": "cpu", "distribution": name, "version": installed[name], "gpu": False}


class Runner:
    """Run checks against one imported framework, clean and with a fault planted."""

    def __init__(self, framework):
        self.framework = framework
        self.backend = backends.load(framework, 2)
        self.checks = {check.id: check for check in catalog.every()}
        self.clean = {}
        self.detection = None

    def context(self, folder):
        """A new context around the one backend."""
        made = Context(self.framework, {}, 2, folder, lambda key, value: None)
        made.once("backend", lambda: self.backend)
        made.expect = expectations(self.backend, made.distributions())
        made._memory.pop("distributions")
        if self.detection:
            made.once("detection", lambda: self.detection)
        return made

    def verdict(self, identity, plant=None):
        """The check's entry, with the fault planted where one is given."""
        with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
            context = self.context(folder)
            planted = Plant(context, folder)
            try:
                if plant is None:
                    self.make_clean(planted, identity)
                else:
                    plant(planted)
                return child.plain(child.one(self.checks[identity], context))
            finally:
                planted.remove()
                if identity == "detection":
                    self.detection = self.detection or gpu.facts(context)

    def make_clean(self, planted, identity):
        """Where this machine itself would fail a check, give it the facts of one that passes."""
        if identity == "hermetic":
            from smoke.checks import hermetic

            planted.context.expect["hermetic"] = True
            planted.patch(hermetic, "observe", lambda: CLOSED)
        if identity in ("cuda-identity", "gpu-guard"):
            cuda = but(self.backend.build(), cuda_built=True, cuda="13.0")
            planted.patch(self.backend, "build", lambda: cuda)
            planted.patch(self.backend, "gpus", lambda: 0)
            planted.distribution("nvidia-cuda-runtime", "13.0.1")
            planted.context.expect.update(variant="gpu", cuda="13.0", distribution="nvidia-cuda-runtime")

    def row(self, name, identity, plant):
        """One line of the table."""
        if identity not in self.clean:
            self.clean[identity] = self.verdict(identity)
        clean, mutated = self.clean[identity], self.verdict(identity, plant)
        caught = clean["outcome"] == "passed" and mutated["outcome"] == "failed"
        return {
            "fault": name,
            "check": identity,
            "caught": caught,
            "clean": clean["outcome"] + (": " + clean["reason"] if clean["reason"] else ""),
            "mutated": mutated["outcome"],
            "reason": mutated["reason"],
        }


def main(arguments=None):
    """Print {"framework", "faults": [rows]}; 0 when every fault was caught, 1 otherwise."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("framework", choices=("torch", "tf1", "tf2"))
    parser.add_argument("--only", metavar="CHECK", help="faults of one check")
    options = parser.parse_args(arguments)
    # What frameworks and fresh processes print must not get into the table.
    table = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    runner = Runner(options.framework)
    chosen = [
        (name, check, plant)
        for name, check, frameworks, plant in MUTATIONS
        if options.framework in (frameworks or (options.framework,)) and options.only in (None, check)
    ]
    # A fork wants a process in which nothing has been computed.
    chosen.sort(key=lambda entry: not runner.checks[entry[1]].fresh)
    rows = []
    for name, check, plant in chosen:
        row = runner.row(name, check, plant)
        rows.append(row)
        print("{}: {} ({})".format("caught" if row["caught"] else "MISSED", name, check), file=sys.stderr, flush=True)
    json.dump({"framework": options.framework, "faults": rows}, table, indent=1)
    table.write("\n")
    table.close()
    return 0 if rows and all(row["caught"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
