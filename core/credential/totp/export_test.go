package totp

// CleanCode is for the fuzzer.
var CleanCode = cleanCode
