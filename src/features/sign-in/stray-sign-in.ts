import type { Notice } from "../../pi/output.ts";
import type { LoginDialog } from "./ports.ts";
import { poolSecretIn, signInAddressIn } from "./rules.ts";
import { strayNotice, strayPoolSecret } from "./texts.ts";

/**
 * Keeps secrets from the model: the address of a sign-in, which it passes to the waiting sign-in with its prompt, and
 * the secrets of a shared pool.
 */
export interface StraySignIns {
	/** Runs a sign-in. Until it ends, it takes an address from the editor as well as from its own field. */
	during<T>(dialog: LoginDialog, signIn: (dialog: LoginDialog) => Promise<T>): Promise<T>;
	/** Checks every prompt. Returns the notice to show in its place; undefined if it contains no secret. */
	take(prompt: string): Notice | undefined;
}

/** Creates the keeper of secrets. If several sign-ins wait in one process, the last one gets the address. */
export function createStraySignIns(): StraySignIns {
	const waiting = new Set<(text: string) => void>();
	return {
		during: async (dialog, signIn) => {
			let give: (text: string) => void = () => undefined;
			const hear = (text: string) => give(text);
			waiting.add(hear);
			const pasted: LoginDialog["pasted"] = (problem) =>
				Promise.race([
					dialog.pasted(problem),
					new Promise<string>((resolve) => {
						give = resolve;
					}),
				]);
			try {
				return await signIn({ ...dialog, pasted });
			} finally {
				waiting.delete(hear);
			}
		},
		take: (prompt) => {
			const secret = poolSecretIn(prompt);
			if (secret !== undefined) return strayPoolSecret(secret);
			if (signInAddressIn(prompt) === undefined) return undefined;
			const give = [...waiting].at(-1);
			give?.(prompt);
			return strayNotice(give !== undefined);
		},
	};
}
