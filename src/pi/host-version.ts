/** The first host that has a ChatGPT sign-in under its provider `openai`. */
const FIRST_PLAN_LOGIN = "0.99.0";

/** True for a host that uses a ChatGPT sign-in under its provider `openai`. Older hosts ignore it in `auth.json`. */
export function offersPlanLogin(hostVersion: string): boolean {
	return !isBefore(hostVersion, FIRST_PLAN_LOGIN);
}

/** Compares versions such as `1.5.2`. Ignores what follows the numbers. */
export function isBefore(version: string, other: string): boolean {
	const [ours, theirs] = [version, other].map((text) => text.split(/[.-]/).slice(0, 3).map(Number));
	for (const [at, number] of (ours ?? []).entries()) {
		const difference = number - (theirs?.[at] ?? 0);
		if (difference !== 0) return difference < 0;
	}
	return false;
}
