package virtual

// Scripts for BeforePages, which make Chromium behave as other browsers do.
const (
	// WaitsForChoice shows passkeys in the suggestions of a field and waits until somebody picks one, which the virtual
	// authenticator does by itself. It takes its time to stop.
	WaitsForChoice = `{ const get = navigator.credentials.get.bind(navigator.credentials);
		let waiting = false;
		navigator.credentials.get = (o) => {
			if (waiting) return Promise.reject(new Error("two at once"));
			if (o.mediation !== "conditional") return get(o);
			if (o.signal.aborted) return Promise.reject(o.signal.reason);
			waiting = true;
			return new Promise((_, no) => o.signal.addEventListener("abort", () => setTimeout(() => { waiting = false; no(o.signal.reason); }, 100)));
		}; }`

	// MakesPasskeys makes passkeys by itself, which Chromium does only in its own password manager, of somebody who is signed
	// in to it. What is put in its place asks the authenticator.
	MakesPasskeys = `{ const create = navigator.credentials.create.bind(navigator.credentials);
		navigator.credentials.create = ({ mediation, ...rest }) => mediation === "conditional" ? create(rest) : Promise.reject(new Error("a dialog")); }`

	// NoConditional neither fills in passkeys nor makes them by itself: whatever happens, a button was pressed for.
	NoConditional = `if (window.PublicKeyCredential) PublicKeyCredential.getClientCapabilities = async () => ({ conditionalGet: false, conditionalCreate: false });`

	// NoWebAuthn is a browser without passkeys.
	NoWebAuthn = `delete window.PublicKeyCredential;`

	// Of2022 is one before WebAuthn Level 3.
	Of2022 = `for (const n of ["parseCreationOptionsFromJSON", "parseRequestOptionsFromJSON", "getClientCapabilities", "signalUnknownCredential",
		"signalAllAcceptedCredentials", "signalCurrentUserDetails", "isConditionalMediationAvailable"]) delete PublicKeyCredential[n]; delete PublicKeyCredential.prototype.toJSON;`
)
