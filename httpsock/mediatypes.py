"""Media types: the Content-Type that goes with a file's name.

A table of our own, the same on every system: an operating system's registry says what its last
installer left there. Takes a name, gives a field value.

RFC 9110 §8.3 (Content-Type); the IANA media type registry; RFC 9239 (JavaScript).
"""

# UTF-8, unless the file says otherwise within; source code is shown as plain text.
_TEXT = {
    "c": "text/plain",
    "cfg": "text/plain",
    "conf": "text/plain",
    "cpp": "text/plain",
    "css": "text/css",
    "csv": "text/csv",
    "diff": "text/x-diff",
    "go": "text/plain",
    "h": "text/plain",
    "hpp": "text/plain",
    "htm": "text/html",
    "html": "text/html",
    "ics": "text/calendar",
    "ini": "text/plain",
    "java": "text/plain",
    "js": "text/javascript",
    "json": "application/json",
    "jsonld": "application/ld+json",
    "log": "text/plain",
    "lua": "text/plain",
    "m3u8": "application/vnd.apple.mpegurl",
    "map": "application/json",
    "markdown": "text/markdown",
    "md": "text/markdown",
    "mjs": "text/javascript",
    "patch": "text/x-diff",
    "py": "text/plain",
    "rb": "text/plain",
    "rs": "text/plain",
    "rst": "text/x-rst",
    "sh": "text/plain",
    "sql": "text/plain",
    "srt": "application/x-subrip",
    "svg": "image/svg+xml",
    "tex": "text/plain",
    "toml": "application/toml",
    "tsv": "text/tab-separated-values",
    "txt": "text/plain",
    "vcf": "text/vcard",
    "vtt": "text/vtt",
    "webmanifest": "application/manifest+json",
    "yaml": "application/yaml",
    "yml": "application/yaml",
}
# No charset: what is not text has none, and XML names its own within.
_BINARY = {
    "7z": "application/x-7z-compressed",
    "aac": "audio/aac",
    "apk": "application/vnd.android.package-archive",
    "apng": "image/apng",
    "atom": "application/atom+xml",
    "avi": "video/x-msvideo",
    "avif": "image/avif",
    "bmp": "image/bmp",
    "br": "application/x-brotli",
    "bz2": "application/x-bzip2",
    "deb": "application/vnd.debian.binary-package",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "eot": "application/vnd.ms-fontobject",
    "epub": "application/epub+zip",
    "flac": "audio/flac",
    "gif": "image/gif",
    "glb": "model/gltf-binary",
    "gltf": "model/gltf+json",
    "gz": "application/gzip",
    "heic": "image/heic",
    "ico": "image/vnd.microsoft.icon",
    "jar": "application/java-archive",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "jxl": "image/jxl",
    "m4a": "audio/mp4",
    "m4v": "video/mp4",
    "mkv": "video/matroska",
    "mov": "video/quicktime",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "mpd": "application/dash+xml",
    "mpeg": "video/mpeg",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odt": "application/vnd.oasis.opendocument.text",
    "oga": "audio/ogg",
    "ogg": "audio/ogg",
    "ogv": "video/ogg",
    "opus": "audio/ogg",
    "otf": "font/otf",
    "pdf": "application/pdf",
    "png": "image/png",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "rss": "application/rss+xml",
    "rtf": "application/rtf",
    "sqlite": "application/vnd.sqlite3",
    "tar": "application/x-tar",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "ts": "video/mp2t",
    "ttf": "font/ttf",
    "wasm": "application/wasm",
    "wav": "audio/wav",
    "weba": "audio/webm",
    "webm": "video/webm",
    "webp": "image/webp",
    "woff": "font/woff",
    "woff2": "font/woff2",
    "xhtml": "application/xhtml+xml",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xml": "application/xml",
    "xsl": "application/xslt+xml",
    "xz": "application/x-xz",
    "zip": "application/zip",
    "zst": "application/zstd",
}
_UNKNOWN = "application/octet-stream"


def in_utf8(media_type: str) -> str:
    """Return the Content-Type of text in UTF-8."""
    return f"{media_type}; charset=utf-8"


_TYPES = _BINARY | {suffix: in_utf8(media_type) for suffix, media_type in _TEXT.items()}


def media_type_of(name: str) -> str:
    """Return the Content-Type of the file called *name*, by what follows its last full stop."""
    _, stop, suffix = name.rpartition(".")
    return _TYPES.get(suffix.lower(), _UNKNOWN) if stop else _UNKNOWN
