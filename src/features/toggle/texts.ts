import { noAccountSignedIn } from "../../core/request/turn-texts.ts";
import { plural } from "../../ui-kit/format.ts";

/** Returns the text after `off`. Other processes follow at their next request. */
export function switchedAllOff(hasPiLogin: boolean, wasOff: boolean): string {
	const done = wasOff
		? "pi-multicodex is already off."
		: "pi-multicodex is off, here and in every other pi from its next request on.";
	const login = hasPiLogin
		? "pi uses its own Codex login."
		: "pi itself has no Codex login now: /login signs in, /model chooses another provider.";
	return `${done} ${login} /multicodex on to undo.`;
}

/** Returns the text after `on`. */
export function switchedBackOn(accounts: number, wasOn: boolean): string {
	const done = wasOn ? "pi-multicodex is already on." : "pi-multicodex is on again.";
	return accounts === 0 ? `${done} ${noAccountSignedIn()}` : `${done} The pool has ${plural(accounts, "account")}.`;
}
