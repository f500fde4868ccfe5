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

# Pages of your own: a folder with assets/ (style sheets, a logo) and templates/ (docs/pages.md).
# pages = "/etc/sigra/pages"

server {
  # Where Sigra listens. ":8484" is every address of the machine.
  listen = "localhost:8484"

  # The one address under which people reach Sigra: links in mails, cookies and redirects are made for it. It must be https,
  # except on localhost. Left out, it follows from listen.
  base_url = "http://localhost:8484"

  # The reverse proxies in front of Sigra. Only what they say of whom a request comes from counts.
  trusted_proxies = []
  # trusted_proxies = ["10.0.0.0/8", "fd00::/8"]

  # Names by which your applications reach Sigra beside base_url, such as ["sigra:8484"]. There it answers who shows an application's key, and nobody else.
  internal_hosts = []

  # The header in which they say so: "x-forwarded-for" or "forwarded" (RFC 7239). The other one is not looked at: it may be the client's.
  forwarded_header = "x-forwarded-for"

  # Tell browsers that every host below base_url's speaks https, for a year (HSTS includeSubDomains). Only where that is so.
  hsts_subdomains = false

  # The largest request body.
  max_body = "1MiB"

  # How long /readyz says 503, and every answer "Connection: close", before Sigra closes its listeners: for proxies in front, to send people elsewhere.
  # Longer than their health check takes to notice. "0" closes at once.
  drain_delay = "0"

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

sign_in {
  # Whether accounts have a username beside their address, to sign in with either: "off", "optional", or "required" at sign-up.
  username = "off"

  # Sign-in by a mailed link or code, and how long both are good for.
  magic_link     = true
  magic_link_ttl = "10m"

  # How long the link and code to set a new password are good for.
  password_reset_ttl = "1h"

  # How long a new address has to confirm a change, and the old one to undo it.
  email_change_ttl = "24h"

  # A sign-in from a new browser on a new network: "notify" writes it down and tells the person, "step_up" also asks for their
  # second factor, "off" does neither.
  suspicious = "notify"

  # Where people may go on to after signing in or out, beside Sigra's own pages: origins, origins with a wildcard for their first label, and
  # schemes of applications, such as ["https://app.example.com", "https://*.example.com", "myapp://"].
  return_to = []
}

second_factor {
  # Ask everybody for a second factor. Who has none adds one at the next sign-in.
  required = false

  # Ask administrators of this server for one, whatever others are asked.
  required_of_administrators = false

  # From the first factor to the second.
  ttl = "5m"

  # What changes how somebody signs in needs a proof that is not older than this.
  step_up_window = "5m"

  # For how long people may have their browser spared the second factor. "0" asks every time.
  trust_device = "30d"
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

  # Share the session cookie with the hosts below a domain, such as "example.com", for applications on hosts of their own behind a proxy that
  # asks /auth/verify. Whoever runs one of these hosts can then act as anybody who visits it. Empty: Sigra's own host has the cookie alone.
  cookie_domain = ""

  # Whom the tokens of GET /v1/session/token are for: their "aud". Empty: base_url.
  token_audience = []
}

password {
  # In characters at least, in bytes at most. There are no rules about digits and signs: length is what helps.
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

  # A new password that was seen in a data breach is refused.
  breach_check {
    # "api" asks Pwned Passwords, which learns the first 5 of the 40 digits of the password's SHA-1 and nothing else. "file" looks
    # into a file here (docs/breach-file.md). "off" asks nobody.
    mode = "api"
    url  = "https://api.pwnedpasswords.com/range/"
    # file = "/var/lib/sigra/breach.bin" # sigra breach build --from pwned-passwords-sha1-ordered.txt --out …

    # The longest a person waits for the API. When it does not answer, passwords are accepted and the audit log says unchecked.
    timeout = "2s"
  }

  # What a password hash of another system may cost each time somebody signs in with it. One that costs more is not imported.
  import {
    max_memory = "128MiB"

    # In hashes by argon2id with 19MiB and time = 2, which take about 20 ms each.
    max_cost = 50
  }
}

passkey {
  # Whether people can add passkeys and sign in with them. Only where base_url has a name: browsers keep none for an address.
  enabled = true

  # The domain that passkeys belong to: the host of base_url, or a domain above it that other sites of yours share. Left out, it is
  # the host. A change makes every passkey useless.
  # rp_id = "example.com"

  # Sites under other domains that may use the same passkeys, such as ["https://example.de"].
  related_origins = []

  # Passkeys of one account, and how long its owner may take to answer their device.
  max_per_account = 20
  ceremony_ttl    = "5m"

  # Refuse those that ask for no finger, face or PIN even as a second factor. As the only factor, one always has to.
  require_user_verification = false

  # A counter that does not rise may mean that a passkey was copied. It is reported in any case; true refuses it too.
  block_on_regression = false

  # Register only these models, such as ["ee882879-721c-4913-9775-3dfcce97072a"]; none means all.
  allowed_aaguids = []
}

metadata {
  # What applications, administrators and people may keep with an account: in each of three scopes a JSON object of at most this size.
  max_size = "16KiB"

  # What the objects must be like, as JSON Schema.
  # # public_schema  = "/etc/sigra/public.schema.json"  # the application writes it, its owner reads it
  # # private_schema = "/etc/sigra/private.schema.json" # administrators only
  # # user_schema    = "/etc/sigra/user.schema.json"    # the owner writes it
}

organizations {
  # Who creates organizations: "administrators" of this Sigra, or "anyone" who is signed in; and how many one person may own before
  # they can't create another.
  creation  = "administrators"
  max_owned = 10

  # The roles whose members manage an organization beside its owners: members, invitations, name, metadata. No other role means anything here.
  manager_roles = ["admin"]

  # How long an invitation can be accepted.
  invitation_ttl = "7d"
}

rate_limit {
  # Per IP address (per /64 for IPv6): all requests; and, of these, those that try a code or a second factor, those that have an
  # email sent (sign-ups among them), those that try or set a password.
  general = "1200/1m"
  guess   = "30/1m"
  mail    = "20/10m"
  hash    = "30/1m"

  # Attempts to sign in to one account from one IP address.
  sign_in_account = "10/1m"

  # Wrong second factors of one account.
  second_factor = "5/15m"

  # Mails that strangers can have sent to one address.
  mail_per_address = "3/15m"
}

abuse {
  # Failed sign-ins of one account, counted on all nodes together. Known browsers of the account are counted apart, so that
  # strangers who guess don't stand in its owner's way.
  backoff {
    # So many failures in so long change nothing. After them every attempt needs a proof of work …
    after = "5/15m"

    # … and comes this long after the last failure. It doubles with every failure.
    first   = "1s"
    longest = "1m"
  }

  # What the client's browser computes: 2^difficulty hashes, about a second of a small computer's time. One more is twice as
  # many; it rises whenever the failures have doubled. 0 asks for none.
  proof_of_work {
    difficulty     = 21
    max_difficulty = 24

    # How long the task may be solved.
    ttl = "5m"
  }

  # So many failures in so long stop all attempts. The back-off lets strangers get nowhere near: this is for who turns it down.
  hard_lockout = "50/15m"

  # A captcha in place of the proof of work.
  # captcha {
  #   provider = "turnstile" # or "hcaptcha"
  #   site_key = "0x4AAAAAAA"
  #   secret   = env("SIGRA_CAPTCHA_SECRET")
  #   hostname = "id.example.com" # solved there and nowhere else
  #   url      = "https://captcha.internal/siteverify" # in place of the provider's own address
  #   send_ip  = false # true: tell the provider people's addresses
  #   timeout  = "5s"
  # }
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

  # How long the rows are kept that tell of failures of strangers, such as wrong passwords. "0" is as long as the others.
  anonymous_retention = "90d"
}

events {
  # How long events that applications reported for plugins are kept, and how large one may be.
  retention = "30d"
  max_bytes = "64KiB"
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

# Sign-in with other services. Each has a client registered there, whose redirect address is BASE_URL/login/callback/NAME;
# docs/recipes/social.md leads through it. `sigra provider check NAME` tells whether it works.
#
# provider "google" {
#   client_id     = env("GOOGLE_CLIENT_ID")
#   client_secret = env("GOOGLE_CLIENT_SECRET")
#   prompt        = "select_account"
# }
#
# provider "microsoft" {
#   client_id     = env("MICROSOFT_CLIENT_ID")
#   client_secret = env("MICROSOFT_CLIENT_SECRET")
#   tenant        = "common" # or your own tenant's id: only its people then
# }
#
# provider "apple" {
#   client_id   = "com.example.web"
#   team_id     = "A1B2C3D4E5"
#   key_id      = "F6G7H8I9J0"
#   private_key = file("/run/secrets/AuthKey_F6G7H8I9J0.p8")
# }
#
# # Any OpenID Connect provider.
# provider "work" {
#   title         = "Example Inc." # on the button
#   issuer        = "https://id.example.com"
#   client_id     = "sigra"
#   client_secret = env("WORK_CLIENT_SECRET")
#   scopes        = ["openid", "email", "profile"]
#   trust_email   = false # true: its word that an address is verified is believed
#   sign_up       = true  # false: no accounts come from here, only those that are linked sign in
#   enabled       = true  # false: not offered
# }
#
# # An OAuth 2.0 provider without discovery.
# provider "forge" {
#   # preset      = "github" # which of the known providers it is; a label that is a preset's name says so already
#   authorize_url = "https://forge.example.com/oauth/authorize"
#   token_url     = "https://forge.example.com/oauth/token"
#   userinfo_url  = "https://forge.example.com/api/user"
#   token_auth    = "basic" # or "post", or "none" for a client without a secret
#   client_id     = "sigra"
#   client_secret = env("FORGE_CLIENT_SECRET")
#   # More for the address that browsers are sent to.
#   authorize_params = { audience = "sigra" }
#
#   # Where things stand in the answer of userinfo_url.
#   claims {
#     subject        = "id"
#     email          = "email"
#     email_verified = "email_verified"
#     name           = "display_name"
#     picture        = "avatar.url"
#     locale         = "locale"
#   }
# }

# Who gets to which pages of an application, for a proxy that asks at /auth/verify (docs/recipes/forward-auth.md). The first rule that matches
# counts; what none matches is for whoever is signed in.
#
# access "admin" {
#   hosts        = ["id.example.com"]    # left out: any. "*.example.com" is any one name before it
#   paths        = ["/admin/*"]          # left out: any. With /* all below it, too
#   methods      = ["GET", "POST"]       # left out: any. GET includes HEAD
#   allow        = "signed_in"           # "public": everybody. "nobody"
#   aal          = "aal2"                # with two factors; "aal1": any
#   max_age      = "1h"                  # since the person last proved who they are; left out: any
#   organization = "acme"                # the session's active one, by id or slug; left out: any
#   roles        = ["admin"]             # of the membership there; left out: any
#   ask_plugins  = true                  # put the question "route" to plugins
# }

# Plugins. Each is a process of its own; delete its block and Sigra runs on without it.

# A timeline of who did what, at /threadline. It is part of Sigra's binary and has defaults for everything.
plugin "threadline" {}

# Mailglass sends all mail in place of the mail block above, and refuses messages that would track their readers
# (docs/recipes/mailglass.md). Without smtp, messages stay in the inbox at /mailglass.
#
# plugin "mailglass" {
#   config {
#     origins     = []    # where links may lead beside server.base_url
#     concurrency = 4     # messages sent at once by one node
#     retry_first = "30s" # the first wait after a failed attempt; further ones are longer, up to an hour
#
#     smtp {
#       host     = "smtp.example.com"
#       port     = 587
#       tls      = "starttls" # "implicit": from the first byte, port 465. "none": only to this machine
#       username = "sigra"
#       password = env("SIGRA_SMTP_PASSWORD")
#       timeout  = "30s" # for each step of a conversation
#       # ca_file = "/etc/ssl/mail-ca.pem" # whom to trust, instead of the system's certificates
#     }
#   }
# }

# Rulestead decides by rules and flags who may register, sign in, join and open a page (docs/recipes/rulestead.md). The rules themselves
# are in its database.
#
# plugin "rulestead" {
#   config {
#     approvals = 0 # how many people besides its author have to approve a change of rules before it is in force
#   }
# }

# Accrue holds seats: it takes billing events from the application and lets no more members into an organization than it has paid for
# (docs/recipes/accrue.md).
#
# plugin "accrue" {
#   config {
#     unsubscribed_seats     = -1    # of an organization that never had a subscription; -1 is no limit
#     past_due_grace_days    = 0     # days after a missed payment in which a subscription still entitles
#     count_invitations      = true  # an open invitation holds a seat
#     count_suspended        = true  # a suspended member keeps their seat
#     count_service_accounts = false # service accounts take seats
#
#     # What a subscription to a plan includes. Without any, every plan is known and includes what its events say.
#     plan "team" {
#       seats       = 0                # where the event names none
#       prices      = []               # a provider's prices that make a subscription one to this plan: "price_1Q…"
#       seats_price = ""               # another price, whose quantity is the number of seats
#       features    = ["sso"]
#       limits      = { projects = 10 }
#     }
#
#     # A provider's webhooks, at /accrue/webhooks/stripe; others: "paddle", "standard_webhooks", "sigra".
#     webhook "stripe" {
#       secrets     = [env("STRIPE_WEBHOOK_SECRET")] # two while one replaces the other
#       tolerance   = "0s"            # how far from now a signature's time may be; 0s: 5 minutes, of Paddle 5 seconds
#       account_key = "sigra_account" # key of the customer's or the subscription's metadata with the account
#       livemode    = true            # Stripe: false for test mode
#     }
#   }
# }

# Relyra lets organizations sign their people in by SAML (docs/recipes/relyra.md). It has no settings: connections are made by
# administrators, and by those of an organization.
#
# plugin "relyra" {}

# Lockspire makes Sigra an OAuth 2.0 and OpenID Connect authorization server for your applications (docs/recipes/lockspire.md).
#
# plugin "lockspire" {
#   config {
#     issuer_path            = "/lockspire" # behind Sigra's address; "" for none
#     code_ttl               = "60s"
#     access_token_ttl       = "10m"
#     id_token_ttl           = "10m"
#     refresh_token_ttl      = "720h"  # how long a refresh token may lie unused
#     grant_ttl              = "8760h" # how long an authorization lasts, however often it is refreshed
#     interaction_ttl        = "15m"   # how long a person may take to sign in and to consent
#     key_rotation           = "2160h" # how old a signing key becomes
#     access_token_algorithm = "ES256" # or "RS256"
#   }
# }

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
#   grants = ["identity.read", "audit.record", "audit.receive", "routes.serve:/greeter"]
#   env    = ["SSL_CERT_FILE"] # variables passed through; no others are
#
#   allowed_networks = ["10.20.0.0/16"] # private networks that its outbound calls may reach
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
