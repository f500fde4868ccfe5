-- Asks Sigra whether a request may go on to the application. haproxy.cfg loads it.

local sigra = "http://127.0.0.1:8484/auth/verify"

-- What of the request Sigra needs beside its method and address.
local passed = { "host", "cookie", "authorization", "accept", "user-agent", "sec-fetch-mode", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto" }

-- What the application gets. Each is set, or gone.
local told = {
  "sigra-user-id", "sigra-user-email", "sigra-session-id", "sigra-organization-id", "sigra-organization-role", "sigra-assurance", "sigra-auth-time",
}

local function verify(txn)
  local request = txn.http:req_get_headers()
  local headers = {
    ["x-forwarded-method"] = { txn.f:method() },
    ["x-forwarded-uri"] = { txn.f:pathq() },
  }
  for _, name in ipairs(passed) do
    if request[name] then
      local values = {}
      for _, value in pairs(request[name]) do
        table.insert(values, value)
      end
      headers[name] = values
    end
  end
  local answer = core.httpclient():get { url = sigra, headers = headers, timeout = 10000 }
  if not answer or not answer.status then
    return -- no status: the request is refused with 503
  end
  local got = answer.headers or {}
  if answer.status == 302 then
    local location = got["location"]
    txn:set_var("txn.sigra_location", location and location[0])
  end
  txn:set_var("txn.sigra_status", answer.status)
  for _, name in ipairs(told) do
    local value = got[name] and got[name][0]
    txn.http:req_del_header(name)
    if value and value ~= "" then
      txn.http:req_set_header(name, value)
    end
  end
end

core.register_action("sigra_verify", { "http-req" }, verify)
