import type { Account } from "./account.ts";
import type { AccountId } from "./ids.ts";

/** A user claim of a token with its value, as `sub=auth0|x`: tokens tell more or less of them from one issue to the next. */
export type UserClaim = string;

/** The claims that tell users of one workspace apart. */
export const USER_CLAIMS = ["chatgpt_account_user_id", "chatgpt_user_id", "sub"] as const;

/** Who a token, or the tokens of an account so far, speak for. */
export interface Speaker extends Pick<Account, "workspaceId" | "userId" | "email" | "claims"> {
	readonly id?: AccountId | undefined;
	/** Of a token: every id that an account first seen with one of its claims has. */
	readonly ids?: readonly AccountId[] | undefined;
}

/** A user claim with its value. */
export function userClaim(name: (typeof USER_CLAIMS)[number], value: string): UserClaim {
	return `${name}=${value}`;
}

/** What is left of the claim under which an account was first seen, where the claim itself was not kept: its id. */
export function firstSeenAs(id: AccountId): UserClaim {
	return `${FIRST_SEEN}${id}`;
}

const FIRST_SEEN = "id=";

/** The claims that are known of a speaker. Older versions kept one value alone, which may have been either of two claims. */
export function claimsOf({ claims, userId, id }: Speaker): readonly UserClaim[] {
	if (claims) return claims;
	const user = userId === undefined ? [] : [userClaim("chatgpt_user_id", userId), userClaim("sub", userId)];
	return id === undefined ? user : [...user, firstSeenAs(id)];
}

/**
 * True where both speak for one account: the same workspace, and any user claim that both carry with the same value. The
 * e-mail counts where neither carries a user claim; neither it nor the workspace is enough otherwise.
 */
export function speakForOne(a: Speaker, b: Speaker): boolean {
	const [ours, theirs] = [claimsOf(a), claimsOf(b)];
	const isFirstSeen = (claims: readonly UserClaim[], { ids = [] }: Speaker) =>
		ids.some((id) => claims.includes(firstSeenAs(id)));
	// An id is made of a user and a workspace.
	if (isFirstSeen(ours, b) || isFirstSeen(theirs, a)) return true;
	if (a.workspaceId !== b.workspaceId) return false;
	const isOfUser = (claim: UserClaim) => !claim.startsWith(FIRST_SEEN);
	if (ours.some(isOfUser) || theirs.some(isOfUser)) return ours.some((claim) => theirs.includes(claim));
	return a.email !== undefined && a.email.toLowerCase() === b.email?.toLowerCase();
}

/** Claims of both, each once. */
export function allClaims(...told: readonly (readonly UserClaim[])[]): UserClaim[] {
	return [...new Set(told.flat())];
}

/** Every account that a speaker speaks for, the oldest first. More than one: they were taken for two so far. */
export function accountsOf(accounts: readonly Account[], speaker: Speaker): Account[] {
	return accounts.filter((account) => speakForOne(account, speaker)).sort((a, b) => a.addedAt - b.addedAt);
}

/** The account that a speaker speaks for; the oldest of them, whose id stays. */
export function accountOf(accounts: readonly Account[], speaker: Speaker): Account | undefined {
	return accountsOf(accounts, speaker)[0];
}

/** True where a token tells more of an account than is known of it, or shows that accounts here are one. */
export function tellsMore(accounts: readonly Account[], account: Account, token: Speaker): boolean {
	const known = claimsOf(account);
	return claimsOf(token).some((claim) => !known.includes(claim)) || accountsOf(accounts, token).length > 1;
}

/** The account with this id, or the one into which the account with this id was merged. */
export function accountWith(accounts: readonly Account[], id: AccountId): Account | undefined {
	return accounts.find((account) => account.id === id) ?? accounts.find(({ formerIds }) => formerIds?.includes(id));
}

/** `id`, or the next one that no account has or had: two users may have been seen first under the same words. */
export function unusedId(id: AccountId, accounts: readonly Account[]): AccountId {
	let free = id;
	for (let tries = 2; accountWith(accounts, free); tries += 1) {
		const next = /^[0-9a-f]{12}$/.test(id) ? (BigInt(`0x${free}`) + 1n) % 2n ** 48n : undefined;
		free = next === undefined ? `${id}-${tries}` : next.toString(16).padStart(12, "0");
	}
	return free;
}

/** Groups speakers by the account that they speak for; one may prove that two others are the same. */
export function grouped<T>(items: readonly T[], speakersOf: (item: T) => readonly Speaker[]): T[][] {
	let groups: { readonly items: T[]; readonly speakers: Speaker[] }[] = [];
	for (const item of items) {
		const speakers = speakersOf(item);
		const isSame = (group: (typeof groups)[number]) =>
			group.speakers.some((known) => speakers.some((speaker) => speakForOne(known, speaker)));
		const same = groups.filter(isSame);
		const united = {
			items: [...same.flatMap((group) => group.items), item],
			speakers: [...same.flatMap((group) => group.speakers), ...speakers],
		};
		const [first] = same;
		// A group keeps its place.
		groups = first
			? groups
					.filter((group) => group === first || !same.includes(group))
					.map((group) => (group === first ? united : group))
			: [...groups, united];
	}
	return groups.map((group) => group.items);
}
