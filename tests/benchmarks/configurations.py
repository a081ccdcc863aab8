"""Configuration files for the servers that need one. They are templates for str.format()."""

# nginx at its fastest for files: one worker, no log, descriptors cached and trusted for a minute, connections never
# closed. Small files leave in one writev() with their heads (measured: sendfile with tcp_nopush is no faster
# for them, stalls pipelined requests for 40 ms, and 64 KiB files now and then), large ones by sendfile.
# Costly features (siblings, listings) are on only where requested.
NGINX_TUNED = """\
daemon off; worker_processes 1; worker_rlimit_nofile 20000; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 16384; multi_accept on; }}
http {{
  {log}
  types {{ application/octet-stream bin; text/javascript js; image/png png; image/svg+xml svg; text/plain txt; }}
  sendfile off; tcp_nopush off; tcp_nodelay on; keepalive_requests 1000000000; keepalive_timeout 75s;
  open_file_cache max=10000 inactive=60s; open_file_cache_valid 60s; open_file_cache_errors on;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port} backlog=4096; root {root};
    location /large/ {{ sendfile on; }}
    location /sibling/ {{ gzip_static on; }}
    location /page/ {{ gzip_static on; }}
    location /precompressed/ {{ gzip_static on; }}
    location /names/ {{ autoindex on; }}
  }}
}}
"""
NGINX_TUNED_LOG = "access_log {log} combined buffer=64k flush=1s;"

# A distribution's defaults, with this folder and port; siblings and listings only where requested.
NGINX_STOCK = """\
daemon off; worker_processes auto; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 768; }}
http {{
  types {{ application/octet-stream bin; text/javascript js; image/png png; image/svg+xml svg; text/plain txt; }}
  sendfile on; tcp_nopush on; gzip on; access_log {folder}/access.log;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port}; root {root};
    location /sibling/ {{ gzip_static on; }}
    location /page/ {{ gzip_static on; }}
    location /precompressed/ {{ gzip_static on; }}
    location /names/ {{ autoindex on; }}
  }}
}}
"""

LIGHTTPD = """\
server.document-root = "{root}"
server.bind = "127.0.0.1"
server.port = {port}
server.modules = ("mod_dirlisting", "mod_accesslog")
server.max-connections = 8192
server.max-fds = 20000
server.listen-backlog = 4096
server.max-keep-alive-requests = 1000000000
server.max-keep-alive-idle = 75
mimetype.assign = (".bin" => "application/octet-stream", ".js" => "text/javascript", ".png" => "image/png",
    ".svg" => "image/svg+xml", ".txt" => "text/plain")
$HTTP["url"] =~ "^/names/" {{ dir-listing.activate = "enable" }}
{log}
"""
LIGHTTPD_LOG = 'accesslog.filename = "{log}"'

CADDY = """\
{{
  admin off
  auto_https off
}}
http://127.0.0.1:{port} {{
  bind 127.0.0.1
  root * {root}
  file_server browse {{
    precompressed gzip
  }}
  {log}
}}
"""
CADDY_LOG = """log {{
    output file {log}
  }}"""
