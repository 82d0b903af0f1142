"""Packaging: everything comes from settings.ini, the one place for name, version, dependencies and commands."""

from configparser import ConfigParser
from pathlib import Path

from setuptools import setup

root = Path(__file__).parent
ini = ConfigParser(interpolation=None)
ini.read(root / "settings.ini", encoding="utf-8")
cfg = ini["DEFAULT"]
name = cfg["lib_name"]
readme = root / "README.md"

setup(
    name=name,
    version=cfg["version"],
    description=cfg["description"],
    long_description=readme.read_text(encoding="utf-8") if readme.exists() else "",
    long_description_content_type="text/markdown",
    author=cfg["author"],
    author_email=cfg["author_email"],
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords=cfg["keywords"].split(),
    python_requires=f">={cfg['min_python']}",
    install_requires=cfg["requirements"].split(),
    extras_require={extra: cfg[f"{extra}_requirements"].split() for extra in ("dev", "ray", "backbones", "export")},
    # The embedded samples stand at the top of the checkout and are installed inside the package.
    packages=[name, f"{name}.tests_data"],
    package_dir={name: cfg["lib_path"], f"{name}.tests_data": "tests_data"},
    package_data={name: ["py.typed"], f"{name}.tests_data": ["**/*"]},
    classifiers=[
        "Development Status :: 3 - Alpha",
        f"Intended Audience :: {cfg['audience']}",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    entry_points={"console_scripts": cfg["console_scripts"].split(), "nbdev": [f"{name}={name}._modidx:d"]},
    zip_safe=False,
)
