# For compose.yaml. Everything that is left out has its default; see sigra.hcl.example.
data_dir = "/var/lib/sigra"

server {
  listen   = ":8484"
  base_url = "https://id.example.com"

  # The network of the proxy in front.
  trusted_proxies = ["10.0.0.0/8", "172.16.0.0/12"]
}

database {
  url = env("SIGRA_DATABASE_URL")
}

keyring {
  root_key = env("SIGRA_ROOT_KEY")
}

sign_in {
  return_to = ["https://app.example.com"]
}

session {
  cookie_domain = "example.com"
}

mail {
  from         = "Example <accounts@example.com>"
  service_name = "Example"

  smtp {
    host     = "smtp.example.com"
    username = "accounts"
    password = env("SIGRA_SMTP_PASSWORD")
  }
}
