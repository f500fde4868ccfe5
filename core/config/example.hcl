# sigra.hcl: the configuration of Sigra.
#
# Everything below is what Sigra does anyway: each setting stands here with its default, so an empty file means the same, but for
# the plugin at the end. Lines that start with # are settings without a default, or choices to consider for production.
# docs/configuration.md explains every one. `sigra check sigra.hcl` tells whether a file is right, without starting anything.
#
#   times   "500ms" "30s" "30m" "24h" "60d" "2w"
#   sizes   "64KiB" "1MiB"
#   rates   "30/1m" is 30 in any minute; "0" is no limit
#   secrets env("NAME") reads an environment variable, env("NAME", "…") has a default, file("path") reads a small file
#
# Relative paths start at the folder of this file.

# The embedded database, the root key, plugin files and the control socket. Back it up, and let nobody else read it.
data_dir = "sigra-data"

# Texts of pages and mails in your own words, or in more languages: a folder with a folder per language (docs/mail.md).
# messages = "/etc/sigra/messages"

server {
  # Where Sigra listens. ":8484" is every address of the machine.
  listen = "localhost:8484"

  # The one address under which people reach Sigra: links in mails, cookies and redirects are made for it. It must be https,
  # except on localhost. Left out, it follows from listen.
  base_url = "http://localhost:8484"

  # The reverse proxies in front of Sigra. Only their X-Forwarded-For counts.
  trusted_proxies = []
  # trusted_proxies = ["10.0.0.0/8", "fd00::/8"]

  # The largest request body.
  max_body = "1MiB"

  # How long requests in flight may take to finish when Sigra stops.
  shutdown_grace = "20s"

  # TLS by Sigra itself. Without this block it speaks plain HTTP, for localhost or behind a proxy.
  # tls {
  #   cert_file = "/etc/sigra/tls/cert.pem"
  #   key_file  = "/etc/sigra/tls/key.pem"
  # }
}

database {
  # Without a url: SQLite, one file in data_dir, nothing to install. Postgres is for more than one node.
  # url = env("SIGRA_DATABASE_URL") # postgres://sigra:password@db.internal:5432/sigra

  # Connections at most; 0 lets the database decide (16 for Postgres).
  max_connections = 0

  # Bring the tables up to date at start. Otherwise `sigra migrate` does.
  migrate = true
}

keyring {
  # Seals everything secret in the database. Left out, Sigra makes one in data_dir/root.key at its first start; with several
  # nodes, give all of them the same one: openssl rand -base64 32
  # root_key = env("SIGRA_ROOT_KEY")

  # Keys that root_key replaces. They still open what they sealed.
  # old_root_keys = [file("/run/secrets/sigra-root-key-2025")]
}

registration {
  # Whether people can sign up by themselves.
  enabled = true

  # "required": nobody is signed in before the address is confirmed, and sign-up never tells whether an address has an account.
  # "deferred": signed in at once, confirmed later; strangers can then find out who has an account.
  confirmation = "required"

  # How long the confirmation's link and code are good for.
  confirmation_ttl = "48h"

  # Wrong codes before a code is spent.
  code_attempts = 5
}

session {
  # A session ends when it was not used for this long …
  idle_timeout = "30m"

  # … and after this long in any case …
  absolute_timeout = "24h"

  # … or after this long, for who ticked "remember me". "0" takes the box away.
  remember_me = "60d"

  # How often "last seen" is written, at most.
  activity_interval = "1m"
}

password {
  # In bytes. There are no rules about digits and signs: length is what helps.
  min_length = 8
  max_length = 1024

  # Hashes computed at once; 0 is one per processor. More than that wait in a queue, at most this long, and then get 503.
  max_concurrent_hashes = 0
  queue_timeout         = "3s"

  # The cost of one argon2id hash. Passwords are hashed anew at the next sign-in after a change.
  argon2 {
    memory      = "19MiB"
    time        = 2
    parallelism = 1
  }
}

rate_limit {
  # Per IP address (per /64 for IPv6): all requests, attempts to sign in, sign-ups.
  general = "1200/1m"
  sign_in = "30/1m"
  sign_up = "20/10m"

  # Failed sign-ins of one account, counted on all nodes together.
  account_failures = "5/15m"

  # Mails that strangers can have sent to one address.
  mail_per_address = "3/15m"
}

mail {
  # The sender, and the name that people read in mails and on pages.
  from         = "Sigra <sigra@localhost>"
  service_name = "Sigra"

  # Keep mails in the inbox page /dev/mail instead of sending them. Left out, this is so exactly when base_url and listen are localhost
  # and there is no smtp block: the inbox shows every confirmation code to everybody.
  dev = true

  # For people whose browser or account asks for no language that there are texts in. There is en, de, fr, es and ar.
  language = "en"

  # Templates of your own, in files that replace the built-in ones of the same names (docs/mail.md).
  # templates = "/etc/sigra/mail"

  # The mail server. What it does not take now waits in the database and is tried again.
  # smtp {
  #   host     = "smtp.example.com"
  #   port     = 587
  #   username = "sigra"
  #   password = env("SIGRA_SMTP_PASSWORD")
  #   tls      = "starttls" # "implicit": from the first byte, port 465. "none": only to this machine, port 25
  #   timeout  = "15s"      # for connecting and for each of its answers
  #   pool     = 4          # connections at once
  #   # ca_file = "/etc/ssl/mail-ca.pem" # whom to trust, instead of the system's certificates
  #   # hello   = "id.example.com"       # what Sigra calls itself; left out, this machine's full name
  # }
}

audit {
  # How long the audit log is kept; "0" is for ever.
  retention = "0"
}

events {
  # How long events that applications reported for plugins are kept, and how large one may be.
  retention = "30d"
  max_bytes = "64KiB"

  # What an application shows to report events: Authorization: Bearer …  Without it only administrators can.
  # token = env("SIGRA_EVENTS_TOKEN") # openssl rand -hex 32
}

logging {
  # trace, debug, info, warn or error; text or json. Logs go to stderr.
  level  = "info"
  format = "text"
}

telemetry {
  # Figures for Prometheus at /metrics, for this machine only.
  metrics = true

  # An address of their own, without TLS and open to whoever reaches it, for a Prometheus elsewhere.
  # metrics_listen = "10.0.0.5:9090"

  # OpenTelemetry logs and metrics, by OTLP over HTTP.
  # otlp {
  #   endpoint = "https://otel.example.com:4318"
  #   headers  = { authorization = env("SIGRA_OTLP_AUTHORIZATION") }
  #   insecure = false # true: plain http to another machine
  # }
}

# Plugins. Each is a process of its own; delete its block and Sigra runs on without it.

# A timeline of who did what, at /threadline. It is part of Sigra's binary and has defaults for everything.
plugin "threadline" {}

# A program of somebody else's:
#
# plugin "greeter" {
#   source = "/usr/lib/sigra/sigra-plugin-greeter"
#   sha256 = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
#   # insecure_unpinned = true # while you develop it: no sha256
#   # reattach = "greeter.reattach.json" # while you debug it: where it runs by itself
#
#   enabled  = true  # false: never started
#   required = false # true: Sigra is not ready without it
#
#   grants = ["identity.read", "audit.record", "routes:/greeter"]
#   env    = ["SSL_CERT_FILE"] # variables passed through; no others are
#
#   # Ask the plugin before somebody joins an organization. If it fails or takes too long: deny.
#   gate "member.add" {
#     on_error = "deny"
#     timeout  = "500ms"
#   }
#
#   # Beside what it gets anyway. A new plugin reads the log from its beginning; "now" skips what was.
#   events {
#     include = ["auth.login.failure"]
#     exclude = ["auth.logout"]
#     from    = "beginning"
#   }
#
#   # What its process may use. Left out: as much as there is.
#   limits {
#     memory     = "128MiB" # it is killed above that, and started again
#     open_files = 256
#     cpu        = 0.5 # of one processor
#   }
#
#   # Who its process runs as, if Sigra runs as root. Left out: root.
#   user = "nobody"
#
#   # A database of its own. Without it: a file in data_dir, or a schema in Sigra's Postgres.
#   database {
#     url = env("GREETER_DATABASE_URL")
#   }
#
#   # The plugin's own settings; `sigra plugin info greeter` lists them.
#   config {
#     greeting = "hello"
#   }
# }
