// Package gate asks whether an action may go on: the seam through which a plugin answers for the flows in core/auth.
//
// With no gate configured for a question, Ask answers allow without a lock, an allocation or a call. The package
// owns the questions, the answers and the order in which several gates are asked (first refusal wins, step-up beats
// allow). It refuses to decide anything itself: the core holds no policy.
package gate
