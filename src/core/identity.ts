import type { Account } from "./account.ts";
import type { AccountId } from "./ids.ts";

/** A user claim of a token with its value, as `sub=auth0|x`. Tokens of one account do not all have the same claims. */
export type UserClaim = string;

/** The claims that tell users of one workspace apart. */
export const USER_CLAIMS = ["chatgpt_account_user_id", "chatgpt_user_id", "sub"] as const;

/** The user and workspace of a token, or of all tokens that an account has had so far. */
export interface Speaker extends Pick<Account, "workspaceId" | "userId" | "email" | "claims"> {
	readonly id?: AccountId | undefined;
	/** For a token: the ids of accounts that were first seen with one of its claims. */
	readonly ids?: readonly AccountId[] | undefined;
}

/** A user claim with its value. */
export function userClaim(name: (typeof USER_CLAIMS)[number], value: string): UserClaim {
	return `${name}=${value}`;
}

/** Stands for the claim with which an account was first seen, if only the id made of it was stored. */
export function firstSeenAs(id: AccountId): UserClaim {
	return `${FIRST_SEEN}${id}`;
}

const FIRST_SEEN = "id=";

/** The known claims of a speaker. Older versions stored one value alone, which may have been either of two claims. */
export function claimsOf({ claims, userId, id }: Speaker): readonly UserClaim[] {
	if (claims) return claims;
	const user = userId === undefined ? [] : [userClaim("chatgpt_user_id", userId), userClaim("sub", userId)];
	return id === undefined ? user : [...user, firstSeenAs(id)];
}

/**
 * Do both speak for one account? They do with the same workspace and one user claim of the same value. If neither has a
 * user claim, the e-mail counts; otherwise neither the e-mail nor the workspace is enough.
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

/**
 * Does a token that was exchanged for one of `known` speak for another account? The exchange proves that both have one
 * owner, so that only a contradiction counts: another workspace, or one claim with another value and none in common.
 */
export function isOfAnother(known: Speaker, token: Speaker): boolean {
	if (speakForOne(known, token)) return false;
	if (known.workspaceId !== token.workspaceId) return true;
	const claims = claimsOf(known);
	// An older version stored one value without its claim, which is taken for either of two: that contradicts nothing.
	const isSure = (claim: UserClaim) => !claims.some((other) => other !== claim && userIn(other) === userIn(claim));
	const names = new Set(claims.filter(isSure).map(kindOf));
	return claimsOf(token).some((claim) => names.has(kindOf(claim)));
}

function kindOf(claim: UserClaim): string {
	return claim.slice(0, claim.indexOf("="));
}

function userIn(claim: UserClaim): string {
	return claim.slice(claim.indexOf("=") + 1);
}

/** Joins lists of claims, each claim once. */
export function allClaims(...lists: readonly (readonly UserClaim[])[]): UserClaim[] {
	return [...new Set(lists.flat())];
}

/** Every account that a speaker speaks for, the oldest first. Several turn out to be one account. */
export function accountsOf(accounts: readonly Account[], speaker: Speaker): Account[] {
	return accounts.filter((account) => speakForOne(account, speaker)).sort((a, b) => a.addedAt - b.addedAt);
}

/** The account that a speaker speaks for: the oldest one, whose id stays. */
export function accountOf(accounts: readonly Account[], speaker: Speaker): Account | undefined {
	return accountsOf(accounts, speaker)[0];
}

/** Does a token have a new claim of an account, or show that two accounts are one? */
export function tellsMore(accounts: readonly Account[], account: Account, token: Speaker): boolean {
	const known = claimsOf(account);
	return claimsOf(token).some((claim) => !known.includes(claim)) || accountsOf(accounts, token).length > 1;
}

/** The account with this id, or the one into which the account with this id was merged. */
export function accountWith(accounts: readonly Account[], id: AccountId): Account | undefined {
	return accounts.find((account) => account.id === id) ?? accounts.find(({ formerIds }) => formerIds?.includes(id));
}

/** `id`, or the next one that no account has or had: two users may have the same value in different claims. */
export function unusedId(id: AccountId, accounts: readonly Account[]): AccountId {
	let free = id;
	for (let tries = 2; accountWith(accounts, free); tries += 1) {
		const next = /^[0-9a-f]{12}$/.test(id) ? (BigInt(`0x${free}`) + 1n) % 2n ** 48n : undefined;
		free = next === undefined ? `${id}-${tries}` : next.toString(16).padStart(12, "0");
	}
	return free;
}

/** Groups speakers by their account; one speaker may prove that two others are the same. */
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
