import type { CommandContext } from "../../pi/command.ts";
import { ASKING } from "./texts.ts";

/** A longer wait is announced: it takes seconds to give up on a database that cannot be reached. */
export const ANNOUNCED_AFTER_MS = 1000;

/** Waits for the database, and tells the person if that takes a while. */
export async function withPatience<T>({ host, signal }: CommandContext, work: Promise<T>): Promise<T> {
	if (!host.hasUI) return work;
	const timer = setTimeout(() => {
		// A context throws after the end of its session.
		if (!signal.aborted) host.ui.notify(ASKING, "info");
	}, ANNOUNCED_AFTER_MS);
	try {
		return await work;
	} finally {
		clearTimeout(timer);
	}
}
