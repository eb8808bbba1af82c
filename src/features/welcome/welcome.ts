import { setImmediate } from "node:timers/promises";
import { within } from "../../core/abort.ts";
import { tellDefect } from "../../core/defect-reports.ts";
import type { Pool } from "../../core/pool/pool.ts";
import type { StateStore } from "../../core/ports.ts";
import type { FoundSignIn } from "./texts.ts";

/** Tells a newcomer how to start. */
export interface Welcome {
	/**
	 * Searches for sign-ins of other tools in the background, and says what to type: once per home, until it has an
	 * account. `isOver` is called before the line is written. Never rejects.
	 */
	begin(tell: (text: string) => void, isOver: () => boolean): Promise<void>;
}

interface Deps {
	readonly state: Pick<StateStore, "claimWelcome" | "endWelcome">;
	/** Finds sign-ins that an import would take. */
	readonly findSignIns: () => Promise<readonly FoundSignIn[]>;
	readonly emit: Pool["emit"];
	/** True if nothing is signed in, neither here nor in pi. */
	readonly isHomeEmpty: () => boolean;
}

/** A home on a network drive may answer late, or never. */
const LOOK_MS = 5000;

/** Creates the welcome. */
export function createWelcome({ state, findSignIns, emit, isHomeEmpty }: Deps): Welcome {
	const tellOnce = async (tell: (text: string) => void, isOver: () => boolean) => {
		if (!isHomeEmpty()) return state.endWelcome();
		// Let pi paint its first screen before anything is read.
		await setImmediate();
		const found = await within(findSignIns(), LOOK_MS, () => undefined);
		if (isOver() || !isHomeEmpty()) return;
		// Only a newcomer needs it, so it is not part of every start.
		const { welcome } = await import("./texts.ts");
		const isOurs = await state.claimWelcome();
		if (isOurs && !isOver()) tell(welcome(found ?? []));
	};
	return {
		begin: (tell, isOver) => tellOnce(tell, isOver).catch((error) => tellDefect(error, "welcome", emit)),
	};
}
