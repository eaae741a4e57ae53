"""A PC in the emulator Bochs, for instructions that no machine at hand has: Linux, BusyBox and one command at a time.

Bochs is compiled from Debian's source package. The guest's kernel, shell and boot loader are packages of Debian, which
are unpacked and not installed. Everything lies in the folder that `Guest` is given.
"""

import io
import os
import re
import shutil
import signal
import socket
import subprocess
import tarfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path

SOURCE = "bochs/trixie"  # 3.0: the first that adds features to a processor's model
SOURCES = (
    "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main\n"
)
SWITCHES = ("--with-nogui", "--enable-x86-64", "--enable-avx", "--enable-evex", "--enable-all-optimizations")
# Without it Bochs 3.0 refuses gathers by vector registers from 16 on: it takes a bit of their number for an operand.
MENDED = "cpu/decoder/fetchdecode32.cc"
MEND = re.compile(r"(setSibIndex\(.*\(vvv & 0x10\)\);)"), r"\1 vvv &= 0xf;"
PACKAGES = ("linux-image-cloud-amd64", "busybox-static", "isolinux", "syslinux-common", "genisoimage")
MODULES = ("scsi_common", "scsi_mod", "libata", "ata_piix", "sd_mod")  # each stands behind those that it needs
LIBRARIES = (
    "libc.so.6",
    "ld-linux-x86-64.so.2",
)  # of this machine: its compiler links the programs that the guest runs
# Two disks, because a disk that the guest writes is not the one that it reads: neither side can overtake the other.
TO_GUEST, FROM_GUEST, DISK = "sda", "sdb", 64 * 2**20
BOOT, COMMAND = 300, 7200  # seconds that a boot, and a command, may take

INIT = f"""#!/bin/busybox sh
/bin/busybox mkdir /proc /job
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
for module in {" ".join(MODULES)}; do insmod /modules/$module.ko; done
until [ -e /dev/{FROM_GUEST} ]; do sleep 0.1; done
stty -F /dev/ttyS0 raw -echo
export LD_LIBRARY_PATH=/lib64
exec < /dev/ttyS0 > /dev/ttyS0
echo ready
while read -r line; do eval "$line"; done
"""

# Alone in its emulator, the kernel guards against no other process. Of time it knows nothing true: Bochs counts
# instructions, and its models of processors name the clock of the real ones.
KERNEL_OPTIONS = "console=ttyS0 quiet mitigations=off nokaslr lapic=notscdeadline tsc=reliable lpj=200000"
LOADER = f"DEFAULT linux\nLABEL linux\nKERNEL linux\nINITRD initrd\nAPPEND {KERNEL_OPTIONS}\n"

CONFIGURATION = """config_interface: textconfig
display_library: nogui
cpu: model={model}, ips=50000000, reset_on_triple_fault=0
memory: guest=1024, host=1024
romimage: file={bios}/bios.bin-1.13.0
vgaromimage: file={bios}/vgabios-cirrus.bin-1.13.0
boot: cdrom
ata0-master: type=disk, mode=flat, path={to_guest}
ata0-slave: type=disk, mode=flat, path={from_guest}
ata1-master: type=cdrom, path={image}, status=inserted
com1: enabled=1, mode=socket-client, dev=127.0.0.1:{port}
clock: sync=none
log: {log}
panic: action=fatal
error: action=ignore
info: action=ignore
"""

Run = Callable[[str, Mapping[str, bytes], Sequence[str]], Mapping[str, bytes]]
"""What `Guest.run` does: a command in a folder of these files, and the files that are wanted of it."""


class Guest(AbstractContextManager["Guest"]):
    """A running guest: `with Guest(folder, "corei3_cnl") as guest: guest.run(...)`.

    model: a processor by Bochs' name for it, with features that are added: `bochs --help cpu`.
    """

    def __init__(self, folder: Path, model: str) -> None:
        folder = folder.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        source, image = emulator(folder), boot_image(folder)
        self._disks = {name: folder / f"{name}.img" for name in (TO_GUEST, FROM_GUEST)}
        for disk in self._disks.values():
            disk.write_bytes(b"")
            Path(f"{disk}.lock").unlink(missing_ok=True)
            os.truncate(disk, DISK)
        with socket.create_server(("127.0.0.1", 0)) as server:
            text = CONFIGURATION.format(
                model=model,
                bios=source / "bios",
                to_guest=self._disks[TO_GUEST],
                from_guest=self._disks[FROM_GUEST],
                image=image,
                port=server.getsockname()[1],
                log=folder / "bochs.log",
            )
            (folder / "bochsrc").write_text(text)
            command = [source / "bochs", "-q", "-f", folder / "bochsrc"]
            self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            with ExitStack() as failed:
                failed.callback(self._process.kill)
                server.settimeout(BOOT)
                self._serial = server.accept()[0]
                self._lines = self._serial.makefile("rwb")
                self._wait_for("ready", BOOT)
                failed.pop_all()

    def run(self, command: str, files: Mapping[str, bytes], wanted: Sequence[str]) -> dict[str, bytes]:
        """The wanted files after a shell command in a folder that holds `files`, which may be run.

        Raises CalledProcessError with what the command said, and TimeoutError.
        """
        size, outputs = self._send(files), " ".join(wanted)
        steps = (
            f"cd /job; rm -rf *; blockdev --flushbufs /dev/{TO_GUEST}; head -c {size} /dev/{TO_GUEST} | tar x",
            f"({command}) > said 2>&1; echo $? > status",
            f"tar cf /dev/{FROM_GUEST} said status {outputs} 2> /dev/null; sync; echo done\n",
        )
        self._process.send_signal(signal.SIGCONT)
        self._lines.write("; ".join(steps).encode())
        self._lines.flush()
        self._wait_for("done", COMMAND)
        found = self._received()
        if status := int(found.pop("status")):
            raise subprocess.CalledProcessError(status, command, found["said"].decode(errors="replace"))
        return found

    def _send(self, files: Mapping[str, bytes]) -> int:
        """Writes an archive to the disk that the guest reads; its bytes."""
        with tarfile.open(self._disks[TO_GUEST], "w", format=tarfile.USTAR_FORMAT) as archive:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(content), 0o755
                archive.addfile(entry, io.BytesIO(content))
        size = self._disks[TO_GUEST].stat().st_size
        assert size <= DISK
        os.truncate(self._disks[TO_GUEST], DISK)
        return size

    def _received(self) -> dict[str, bytes]:
        with tarfile.open(self._disks[FROM_GUEST]) as archive:
            members = {entry.name: archive.extractfile(entry) for entry in archive.getmembers()}
            return {name: content.read() for name, content in members.items() if content}

    def _wait_for(self, word: str, limit: int) -> None:
        """Lets the guest run until it says so; then it is stopped, since one that waits takes all of a processor."""
        self._serial.settimeout(limit)
        for line in self._lines:
            if line.strip() == word.encode():
                self._process.send_signal(signal.SIGSTOP)
                return
        raise ConnectionError(f"the guest ended; {self._disks[TO_GUEST].parent}/bochs.log may say why")

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        with suppress(OSError):
            self._lines.close()
        self._serial.close()


def emulator(folder: Path) -> Path:
    """Bochs, compiled in the folder of its source."""
    made = folder / "bochs-3.0"
    if not (made / "bochs").exists():
        (folder / "sources.list").write_text(SOURCES)
        lists, cache = folder / "lists", folder / "cache"
        (cache / "archives" / "partial").mkdir(parents=True, exist_ok=True)
        (lists / "partial").mkdir(parents=True, exist_ok=True)
        places = {
            "Dir::Etc::sourcelist": folder / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::State::lists": lists,
            "Dir::Cache": cache,
        }
        options = [word for key, value in places.items() for word in ("-o", f"{key}={value}")]
        done("apt-get", *options, "update", folder=folder)
        done("apt-get", *options, "source", "--download-only", "--tar-only", SOURCE, folder=folder)
        done("tar", "xf", next(folder.glob("bochs_*.orig.tar.*")), folder=folder)
        wrong, mended = MEND
        text, count = wrong.subn(mended, (made / MENDED).read_text())
        assert count == 1
        (made / MENDED).write_text(text)
        done("./configure", *SWITCHES, folder=made)
        done("make", f"-j{os.cpu_count()}", folder=made)
    return made


def boot_image(folder: Path) -> Path:
    """A CD that starts the guest, made of Debian's packages and this machine's C library."""
    image = folder / "boot.iso"
    root = unpacked(folder, PACKAGES)
    guest, disc = folder / "guest", folder / "disc"
    for made in (guest, disc):
        shutil.rmtree(made, ignore_errors=True)
    for made in (guest / "bin", guest / "modules", guest / "lib64", disc):
        made.mkdir(parents=True)
    shutil.copy(root / "bin/busybox", guest / "bin")
    for name in MODULES:
        shutil.copy(next((root / "lib/modules").rglob(f"{name}.ko")), guest / "modules")
    for name in LIBRARIES:
        found = subprocess.run(["cc", f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout
        shutil.copy(found.strip(), guest / "lib64")
    (guest / "init").write_text(INIT)
    (guest / "init").chmod(0o755)
    names = "\n".join(str(path.relative_to(guest)) for path in sorted(guest.rglob("*")))
    command = [root / "bin/busybox", "cpio", "-o", "-H", "newc"]
    packed = subprocess.run(command, cwd=guest, input=names.encode(), capture_output=True, check=True)
    (disc / "initrd").write_bytes(packed.stdout)
    (disc / "isolinux.cfg").write_text(LOADER)
    shutil.copy(next((root / "boot").glob("vmlinuz-*")), disc / "linux")
    shutil.copy(root / "usr/lib/ISOLINUX/isolinux.bin", disc)
    shutil.copy(root / "usr/lib/syslinux/modules/bios/ldlinux.c32", disc)
    boot = ("-b", "isolinux.bin", "-c", "boot.cat", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table")
    done(root / "usr/bin/genisoimage", "-quiet", "-o", image, *boot, disc, folder=folder)
    return image


def unpacked(folder: Path, names: Sequence[str]) -> Path:
    """The packages of Debian and those that they need and this machine lacks, in one folder."""
    folder = folder.resolve()  # apt reads a relative path from a folder of its own on
    root, packages = folder / "root", folder / "packages"
    if not root.exists():
        (packages / "partial").mkdir(parents=True, exist_ok=True)
        options = ("--yes", "--download-only", "--reinstall", "--no-install-recommends", "-o", "Debug::NoLocking=1")
        done("apt-get", "install", *options, "-o", f"Dir::Cache::archives={packages}", *names, folder=folder)
        for package in packages.glob("*.deb"):
            done("dpkg-deb", "-x", package, root, folder=folder)
    return root


def done(*command: str | Path, folder: Path) -> None:
    """A command that must succeed; what it says is in log.txt of the folder. Raises CalledProcessError."""
    with (folder / "log.txt").open("ab") as log:
        subprocess.run(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, check=True)
