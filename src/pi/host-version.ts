/** The first host with a ChatGPT sign-in under its provider `openai`. */
const FIRST_PLAN_LOGIN = "0.99.0";

/**
 * True for a host that uses a ChatGPT sign-in under its provider `openai`. Older ones ignore what `auth.json` says of
 * it.
 */
export function offersPlanLogin(hostVersion: string): boolean {
	return !isBefore(hostVersion, FIRST_PLAN_LOGIN);
}

/** Of versions such as `1.5.2`; what follows the numbers does not count. */
export function isBefore(version: string, other: string): boolean {
	const [ours, theirs] = [version, other].map((text) => text.split(/[.-]/).slice(0, 3).map(Number));
	for (const [at, number] of (ours ?? []).entries()) {
		const difference = number - (theirs?.[at] ?? 0);
		if (difference !== 0) return difference < 0;
	}
	return false;
}
