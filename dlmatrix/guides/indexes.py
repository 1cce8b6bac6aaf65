"""Makes indexes in the home, each of one empty wheel: torch in the version that the index is named after.

Run in a guide's world by the guide's Python, for what known.toml has of indexes.
"""

import os
import zipfile

for version in ("2.13.0+cpu", "2.14.0", "2.14.0+cpu"):
    folder = os.path.join(os.path.expanduser("~"), version, "torch")
    os.makedirs(folder)
    name = f"torch-{version}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        for file, text in (
            ("METADATA", f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n"),
            ("WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
            ("RECORD", ""),
        ):
            wheel.writestr(f"torch-{version}.dist-info/{file}", text)
    with open(os.path.join(folder, "index.html"), "w", encoding="utf-8") as page:
        page.write(f'<a href="{name.replace("+", "%2B")}">{name}</a>\n')
