import type { CommandContext } from "../../pi/command.ts";
import { ASKING } from "./texts.ts";

/** An answer that takes longer is announced: a database that cannot be reached takes seconds to be given up. */
export const ANNOUNCED_AFTER_MS = 1000;

/** Waits for the database, and says so to a person where that takes a while. */
export async function withPatience<T>({ host, signal }: CommandContext, work: Promise<T>): Promise<T> {
	if (!host.hasUI) return work;
	const timer = setTimeout(() => {
		// After the end of its session a context throws.
		if (!signal.aborted) host.ui.notify(ASKING, "info");
	}, ANNOUNCED_AFTER_MS);
	try {
		return await work;
	} finally {
		clearTimeout(timer);
	}
}
