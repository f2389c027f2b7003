"""Machines that are not there: trees of /sys, /dev and /proc, a library, and a metadata server."""

import contextlib
import http.server
import threading

# From the chip to the ids of its PCI device and subsystem, and what its slices are called.
CHIPS = {
    "v2": ("0x0027", "0x004e", "v2-8"),
    "v3": ("0x0027", "0x004f", "v3-32"),
    "v4": ("0x005e", "0x0000", "v4-16"),
    "v5e": ("0x0063", "0x0000", "v5litepod-8"),
    "v5p": ("0x0062", "0x0000", "v5p-8"),
    "v6e": ("0x006f", "0x0000", "v6e-4"),
}


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


def add_pci_device(root, slot, vendor, device, subsystem="0x0000"):
    for name, value in (("vendor", vendor), ("device", device), ("subsystem_device", subsystem)):
        write(root / f"sys/bus/pci/devices/0000:00:{slot:02x}.0/{name}", value)


def add_chips(root, generation):
    """Four chips of a generation behind a network card, which Google makes as well."""
    device, subsystem, _ = CHIPS[generation]
    add_pci_device(root, 3, "0x1ae0", "0x0042")
    for slot in range(4, 8):
        add_pci_device(root, slot, "0x1ae0", device, subsystem)


def add_google_cloud(root):
    write(root / "sys/class/dmi/id/product_name", "Google Compute Engine")


def add_libtpu(folder):
    """A package libtpu in a folder; it is found there, not imported."""
    write(folder / "libtpu/__init__.py", "raise AssertionError('it takes the chips')")
    write(folder / "libtpu/libtpu.so", "")
    return str(folder / "libtpu/libtpu.so")


@contextlib.contextmanager
def metadata_server(attributes, seconds=0.0):
    """Serve attributes of an instance; yields HOST:PORT and the paths that were asked for."""
    asked, ended = [], threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            ended.wait(seconds)
            value = attributes.get(self.path.rpartition("/instance/attributes/")[2])
            known = self.headers.get("Metadata-Flavor") == "Google" and value is not None
            self.send_response(200 if known else 404)
            self.end_headers()
            if known:
                self.wfile.write(value.encode())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}", asked
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
