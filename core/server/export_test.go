package server

// MayControl is who may use the control socket, for the tests.
var MayControl = mayControl
