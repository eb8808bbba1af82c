import { it } from "vitest";
import { type HostName, hostNames, NEWEST_HOST, OLDEST_HOST } from "./hosts.ts";

/** Set by `npm run test:wide`: every test runs, and not only the core that every change has to pass. */
export const isWide = process.env.WIDE === "1";

/** For tests that do not depend on the host: in the core the one that starts fastest, in a wide run the oldest. */
export const ANY_HOST: HostName = isWide ? OLDEST_HOST : NEWEST_HOST;

/** Is this the oldest or the newest host? What both do the ones between them do as well, as far as the core looks. */
export const isAtAnEnd = (host: HostName): boolean => host === OLDEST_HOST || host === NEWEST_HOST;

/** `it` for a variant of what a test of the core proves already: another wording, another way to the same code. */
export const wide = it.skipIf(!isWide);

/**
 * The cases of a table that are run: in the core those that `isCore` chooses, by default the first, in a wide run all.
 * @throws when the core would get none of them
 */
export function coreOf<T>(
	cases: readonly T[],
	isCore: (each: T, index: number) => boolean = (_, index) => index === 0,
): readonly T[] {
	const chosen = cases.filter(isCore);
	if (chosen.length === 0) throw new Error(`none of ${cases.length} cases is in the core`);
	return isWide ? cases : chosen;
}

/** Every host in a wide run, the oldest and the newest in the core. */
export const endHosts: readonly HostName[] = coreOf(hostNames, isAtAnEnd);

/** How often fast-check plays a property: by default ten times as often in a wide run. */
export const runs = (core: number, inWide = 10 * core): { readonly numRuns: number } => ({
	numRuns: isWide ? inWide : core,
});
