package recoverycode

// Clean is for the tests of what may be typed.
var Clean = clean
