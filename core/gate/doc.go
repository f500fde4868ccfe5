// Package gate asks whether an action may go on: the seam through which a plugin answers for the flows.
//
// With no gate configured for a question, Ask answers allow without a lock, an allocation or a call. The package
// owns the questions, the answers and the order in which several gates are asked (first refusal wins, step-up beats
// allow). It refuses to decide anything itself: the core holds no policy.
//
// # Attempts
//
// A gate may hold something for the action that it allows, such as a seat. Then it is told what became of it. One id names
// the action from the question to its audit row, whose correlation id it is:
//
//	Attempts.Ask ──▶ allowed, reserved ──▶ the action's transaction ──▶ End(nil) ──▶ Settle(committed), the row goes
//	     │                                  with Commit, a row per         │  failed or died: Run settles it later,
//	     │                                  reservation                    │  again and again
//	     │                                                                 └─ End(error) ──▶ Settle(abandoned)
//	     └─▶ denied, or a gate failed: what other gates had reserved is abandoned
//
// A process that dies between the answer and its transaction leaves no row: that reservation ends by itself, when the gate said it
// would. One that dies after the transaction leaves the row, from which any node settles.
package gate
