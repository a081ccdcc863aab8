"""Media types: the Content-Type of a file, by its name and its first octets.

The table is built in, so it is the same on every system. A system's registry depends on the installed programs.
Takes a name and the first octets of the file, or all of them. Gives a field value. The table prefers registered types.
If a suffix is not in the table, a text file is text/plain. Examples are source code and LICENSE.

RFC 9110 §8.3 (Content-Type), §8.3.2 (charset); the IANA media type registry; RFC 9239 (JavaScript).
"""

# Text: the Content-Type states the charset if the content is UTF-8.
_TEXT = {
    "appcache": "text/cache-manifest",
    "atom": "application/atom+xml",
    "cjs": "text/javascript",
    "css": "text/css",
    "csv": "text/csv",
    "dae": "model/vnd.collada+xml",
    "diff": "text/x-diff",
    "dtd": "application/xml-dtd",
    "fb2": "application/x-fictionbook+xml",
    "geojson": "application/geo+json",
    "gpx": "application/gpx+xml",
    "har": "application/json",
    "htm": "text/html",
    "html": "text/html",
    "ics": "text/calendar",
    "iges": "model/iges",
    "igs": "model/iges",
    "importmap": "application/importmap+json",
    "ipynb": "application/x-ipynb+json",
    "js": "text/javascript",
    "json": "application/json",
    "json5": "application/json5",
    "jsonl": "application/jsonl",
    "jsonld": "application/ld+json",
    "kml": "application/vnd.google-earth.kml+xml",
    "log": "text/plain",
    "m3u": "audio/x-mpegurl",
    "m3u8": "application/vnd.apple.mpegurl",
    "map": "application/json",
    "markdown": "text/markdown",
    "mathml": "application/mathml+xml",
    "md": "text/markdown",
    "meta4": "application/metalink4+xml",
    "metalink": "application/metalink+xml",
    "mjs": "text/javascript",
    "mml": "application/mathml+xml",
    "mpd": "application/dash+xml",
    "mtl": "model/mtl",
    "musicxml": "application/vnd.recordare.musicxml+xml",
    "n3": "text/n3",
    "ncx": "application/x-dtbncx+xml",
    "ndjson": "application/x-ndjson",
    "nq": "application/n-quads",
    "nt": "application/n-triples",
    "opf": "application/oebps-package+xml",
    "opml": "text/x-opml",
    "owl": "application/rdf+xml",
    "patch": "text/x-diff",
    "pls": "audio/x-scpls",
    "rdf": "application/rdf+xml",
    "rng": "application/xml",
    "rq": "application/sparql-query",
    "rss": "application/rss+xml",
    "rst": "text/x-rst",
    "shtml": "text/html",
    "smil": "application/smil+xml",
    "srt": "application/x-subrip",
    "step": "model/step",
    "stp": "model/step",
    "svg": "image/svg+xml",
    "tcx": "application/vnd.garmin.tcx+xml",
    "text": "text/plain",
    "toml": "application/toml",
    "topojson": "application/json",
    "trig": "application/trig",
    "tsv": "text/tab-separated-values",
    "ttl": "text/turtle",
    "ttml": "application/ttml+xml",
    "txt": "text/plain",
    "usda": "model/vnd.usda",
    "vcard": "text/vcard",
    "vcf": "text/vcard",
    "vtt": "text/vtt",
    "webmanifest": "application/manifest+json",
    "wrl": "model/vrml",
    "wsdl": "application/wsdl+xml",
    "x3d": "model/x3d+xml",
    "xht": "application/xhtml+xml",
    "xhtml": "application/xhtml+xml",
    "xml": "application/xml",
    "xsd": "application/xml",
    "xsl": "application/xslt+xml",
    "xslt": "application/xslt+xml",
    "xspf": "application/xspf+xml",
    "yaml": "application/yaml",
    "yml": "application/yaml",
}
# Never with a charset: binary formats, and formats whose parts have charsets of their own.
_BINARY = {
    "3g2": "video/3gpp2",
    "3gp": "video/3gpp",
    "3mf": "model/3mf",
    "7z": "application/x-7z-compressed",
    "aac": "audio/aac",
    "ac3": "audio/ac3",
    "ai": "application/postscript",
    "aif": "audio/x-aiff",
    "aiff": "audio/x-aiff",
    "amr": "audio/amr",
    "apk": "application/vnd.android.package-archive",
    "apng": "image/apng",
    "appimage": "application/vnd.appimage",
    "arrow": "application/vnd.apache.arrow.file",
    "asf": "application/vnd.ms-asf",
    "au": "audio/basic",
    "avi": "video/x-msvideo",
    "avif": "image/avif",
    "azw3": "application/vnd.amazon.mobi8-ebook",
    "bin": "application/octet-stream",
    "bmp": "image/bmp",
    "br": "application/x-brotli",
    "bz2": "application/x-bzip2",
    "cab": "application/vnd.ms-cab-compressed",
    "caf": "audio/x-caf",
    "cbr": "application/vnd.comicbook-rar",
    "cbz": "application/vnd.comicbook+zip",
    "class": "application/java-vm",
    "cpio": "application/x-cpio",
    "crx": "application/x-chrome-extension",
    "cur": "image/vnd.microsoft.icon",
    "deb": "application/vnd.debian.binary-package",
    "djvu": "image/vnd.djvu",
    "dll": "application/vnd.microsoft.portable-executable",
    "dmg": "application/x-apple-diskimage",
    "doc": "application/msword",
    "docm": "application/vnd.ms-word.document.macroenabled.12",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "dwg": "image/vnd.dwg",
    "emf": "image/emf",
    "eml": "message/rfc822",
    "eot": "application/vnd.ms-fontobject",
    "eps": "application/postscript",
    "epub": "application/epub+zip",
    "exe": "application/vnd.microsoft.portable-executable",
    "f4v": "video/mp4",
    "flac": "audio/flac",
    "flatpak": "application/vnd.flatpak",
    "flv": "video/x-flv",
    "gif": "image/gif",
    "glb": "model/gltf-binary",
    "gltf": "model/gltf+json",
    "gpkg": "application/geopackage+sqlite3",
    "gz": "application/gzip",
    "heic": "image/heic",
    "heif": "image/heif",
    "ico": "image/vnd.microsoft.icon",
    "img": "application/vnd.efi.img",
    "iso": "application/vnd.efi.iso",
    "jar": "application/java-archive",
    "jfif": "image/jpeg",
    "jp2": "image/jp2",
    "jpe": "image/jpeg",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "jxl": "image/jxl",
    "kmz": "application/vnd.google-earth.kmz",
    "ktx": "image/ktx",
    "ktx2": "image/ktx2",
    "lz4": "application/x-lz4",
    "lzma": "application/x-lzma",
    "m4a": "audio/mp4",
    "m4b": "audio/mp4",
    "m4s": "video/iso.segment",
    "m4v": "video/mp4",
    "mbox": "application/mbox",
    "mht": "message/rfc822",
    "mhtml": "message/rfc822",
    "mid": "audio/midi",
    "midi": "audio/midi",
    "mk3d": "video/matroska-3d",
    "mka": "audio/matroska",
    "mkv": "video/matroska",
    "mobi": "application/x-mobipocket-ebook",
    "mobileconfig": "application/x-apple-aspen-config",
    "mov": "video/quicktime",
    "mp2": "audio/mpeg",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "mpeg": "video/mpeg",
    "mpg": "video/mpeg",
    "msi": "application/x-msi",
    "mvt": "application/vnd.mapbox-vector-tile",
    "mxl": "application/vnd.recordare.musicxml",
    "odg": "application/vnd.oasis.opendocument.graphics",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odt": "application/vnd.oasis.opendocument.text",
    "oga": "audio/ogg",
    "ogg": "audio/ogg",
    "ogv": "video/ogg",
    "ogx": "application/ogg",
    "opus": "audio/ogg",
    "otf": "font/otf",
    "p12": "application/pkcs12",
    "parquet": "application/vnd.apache.parquet",
    "pcap": "application/vnd.tcpdump.pcap",
    "pdf": "application/pdf",
    "pfx": "application/pkcs12",
    "pkpass": "application/vnd.apple.pkpass",
    "pmtiles": "application/vnd.pmtiles",
    "png": "image/png",
    "ppt": "application/vnd.ms-powerpoint",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "ps": "application/postscript",
    "psd": "image/vnd.adobe.photoshop",
    "qt": "video/quicktime",
    "rar": "application/vnd.rar",
    "rpm": "application/x-rpm",
    "rtf": "application/rtf",
    "snd": "audio/basic",
    "sqlite": "application/vnd.sqlite3",
    "sqlite3": "application/vnd.sqlite3",
    "stl": "model/stl",
    "swf": "application/vnd.adobe.flash.movie",
    "tar": "application/x-tar",
    "tbz": "application/x-bzip2",
    "tbz2": "application/x-bzip2",
    "tgz": "application/gzip",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "torrent": "application/x-bittorrent",
    "ttc": "font/collection",
    "ttf": "font/ttf",
    "txz": "application/x-xz",
    "tzst": "application/zstd",
    "usdz": "model/vnd.usdz+zip",
    "vob": "video/mpeg",
    "vsd": "application/vnd.visio",
    "warc": "application/warc",
    "wasm": "application/wasm",
    "wav": "audio/wav",
    "weba": "audio/webm",
    "webm": "video/webm",
    "webp": "image/webp",
    "wma": "audio/x-ms-wma",
    "wmf": "image/wmf",
    "wmv": "video/x-ms-wmv",
    "woff": "font/woff",
    "woff2": "font/woff2",
    "xcf": "image/x-xcf",
    "xls": "application/vnd.ms-excel",
    "xlsm": "application/vnd.ms-excel.sheet.macroenabled.12",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xpi": "application/x-xpinstall",
    "xz": "application/x-xz",
    "z": "application/x-compress",
    "zip": "application/zip",
    "zst": "application/zstd",
}
# Suffixes that a binary format shares with text: the signature at the start of the content decides.
_MPEG_STREAM = "video/mp2t"
_SHARED = {
    "cer": ("application/pkix-cert", b"\x30"),
    "crl": ("application/pkix-crl", b"\x30"),
    "crt": ("application/pkix-cert", b"\x30"),
    "der": ("application/pkix-cert", b"\x30"),
    "key": ("application/vnd.apple.keynote", b"PK\x03\x04"),
    "m2t": (_MPEG_STREAM, b""),
    "m2ts": (_MPEG_STREAM, b""),
    "mts": (_MPEG_STREAM, b""),
    "ts": (_MPEG_STREAM, b""),
}
_PLAIN = "text/plain"
_UNKNOWN = "application/octet-stream"

# An MPEG-2 transport stream is packets of 188 octets that start with a sync octet; Blu-ray and AVCHD put a time of four
# octets before each packet. A recording may begin within a packet.
_PERIODS = ((188, 0), (192, 4))
_SYNC = 0x47
_MAX_PACKETS = 5


def content_type_of(name: str, octets: bytes, *, is_whole: bool) -> str:
    """Return the Content-Type of the file *name*.

    If *is_whole* is true, *octets* are the whole content of the file. Otherwise, *octets* are the start of the content.
    """
    suffix = _suffix_of(name)
    if suffix in _BINARY:
        return _BINARY[suffix]
    from .charsets import declares_other, is_text, is_utf8, syntax_of  # a server needs them for its first text

    media_type = _TEXT.get(suffix)
    if media_type is None:
        if not is_text(octets):
            return _binary_type_of(suffix, octets)
        media_type = _PLAIN
    if is_utf8(octets, is_whole=is_whole) and not declares_other(octets, syntax_of(media_type, suffix)):
        return in_utf8(media_type)
    return media_type


def depends_on_content(name: str) -> bool:
    """Return whether the Content-Type of the file called *name* depends on the file's content."""
    return _suffix_of(name) not in _BINARY


def in_utf8(media_type: str) -> str:
    """Return a Content-Type value: *media_type* with the charset UTF-8."""
    return f"{media_type}; charset=utf-8"


def _suffix_of(name: str) -> str:
    """Return the part of *name* after its last full stop, in lower case."""
    return name.rpartition(".")[2].lower() if "." in name else ""


def _binary_type_of(suffix: str, octets: bytes) -> str:
    """Return the Content-Type of a binary file.

    If *octets* lack the signature of *suffix*, return application/octet-stream.
    """
    media_type, signature = _SHARED.get(suffix, (_UNKNOWN, b""))
    has_signature = _is_mpeg_stream(octets) if media_type == _MPEG_STREAM else octets.startswith(signature)
    return media_type if has_signature else _UNKNOWN


def _is_mpeg_stream(octets: bytes) -> bool:
    """Return whether *octets* are packets of an MPEG-2 transport stream (ISO/IEC 13818-1 §2.4.3.2)."""
    for period, lead in _PERIODS:
        for start in range(period if len(octets) >= period else 0):
            syncs = octets[start : start + _MAX_PACKETS * period : period]
            # With one or two packets, the file must start with a packet: a single match may be chance.
            if syncs.count(_SYNC) == len(syncs) and (len(syncs) > 2 or start == lead):
                return True
    return False
