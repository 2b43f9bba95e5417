"""Where the sources of an engine are read from: a wheel, a source archive or a checkout. Nothing is unpacked or imported."""
import datetime
import pathlib
import re
import tarfile
import zipfile


class Sources:
    """The files of a package by their path inside it; `used` lists those that were read."""

    def __init__(self, path):
        self.path, self.used, self.dates, self.cache = pathlib.Path(path), [], [], {}
        if self.path.is_dir():
            self.names = None
        elif zipfile.is_zipfile(self.path):
            self.archive = zipfile.ZipFile(self.path)
            members = self.archive.infolist()
            self.names = {m.filename: m for m in members}
            self.dates = [datetime.date(*m.date_time[:3]) for m in members]
        elif tarfile.is_tarfile(self.path):
            self.archive = tarfile.open(self.path)
            # The folder of its name that a source archive begins with is no part of a path.
            self.names = {m.name.partition("/")[2]: m for m in self.archive.getmembers() if m.isfile()}
            self.dates = [datetime.date.fromtimestamp(m.mtime) for m in self.names.values()]
        else:
            raise ValueError(f"{path}: neither a folder, a wheel nor a source archive")

    def bytes(self, name):
        if self.names is None:
            file = self.path / name
            return file.read_bytes() if file.is_file() else None
        member = self.names.get(name)
        if member is None:
            return None
        return self.archive.read(member) if isinstance(member, zipfile.ZipInfo) else self.archive.extractfile(member).read()

    def read(self, name):
        """The text of a file, or None where there is no such file."""
        if name not in self.cache:
            raw = self.bytes(name)
            self.cache[name] = None if raw is None else raw.decode("utf-8", "replace")
            if raw is not None:
                self.used.append(name)
        return self.cache[name]

    def need(self, name):
        text = self.read(name)
        if text is None:
            raise ValueError(f"{name} is missing")
        return text

    def find(self, pattern):
        """The paths that match a regular expression, in order."""
        names = self.names if self.names is not None else [str(p.relative_to(self.path)) for p in self.path.rglob("*") if p.is_file()]
        return sorted(n for n in names if re.search(pattern, n))

    def metadata(self):
        """(name, version) by the package's own metadata; None where it has none."""
        for name in self.find(r"^[^/]+\.dist-info/METADATA$") + self.find(r"^PKG-INFO$"):
            text = self.bytes(name).decode("utf-8", "replace")
            found = [re.search(rf"^{field}: (\S+)", text, re.M) for field in ("Name", "Version")]
            if all(found):
                return tuple(f.group(1) for f in found)
        return None, None

    def released(self):
        """The date of the newest file of an archive; None where archives are made with one fixed date for all."""
        dates = [d for d in self.dates if d.year > 2022]
        return max(dates).isoformat() if dates else None
