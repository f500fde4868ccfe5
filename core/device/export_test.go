package device

// For the tests of what becomes of what a client sends, and of what Look costs.
var NetworkOf = networkOf

const LookQuery = lookQuery
