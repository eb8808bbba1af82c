import type { Account } from "./account.ts";
import { type AccountId, asAccountId } from "./ids.ts";

/**
 * A user claim of a token with its value, such as `sub=auth0|x`. Tokens of one account do not all have the same claims.
 */
export type UserClaim = string;

/** The claims that distinguish the users of one workspace. */
const USER_CLAIMS = ["chatgpt_account_user_id", "chatgpt_user_id", "sub"] as const;

/** The user and workspace of a token, or of all tokens that an account has had. */
export interface Speaker extends Pick<Account, "workspaceId" | "userId" | "email" | "claims"> {
	readonly id?: AccountId | undefined;
	/** For a token: the ids of accounts that were first identified by one of its claims. */
	readonly ids?: readonly AccountId[] | undefined;
}

/** Joins the name of a user claim with its value. */
export function userClaim(name: (typeof USER_CLAIMS)[number], value: string): UserClaim {
	return `${name}=${value}`;
}

/**
 * Returns a placeholder for the claim by which an account was first identified, if only the id made from it was stored.
 */
function firstSeenAs(id: AccountId): UserClaim {
	return `${FIRST_SEEN}${id}`;
}

const FIRST_SEEN = "id=";

/**
 * Returns the known claims of a token or account. Older versions stored one bare value, which may belong to either of
 * two claims.
 */
export function claimsOf({ claims, userId, id }: Speaker): readonly UserClaim[] {
	if (claims) return claims;
	const user = userId === undefined ? [] : [userClaim("chatgpt_user_id", userId), userClaim("sub", userId)];
	return id === undefined ? user : [...user, firstSeenAs(id)];
}

/**
 * True if both identify the same account: they share the workspace and the value of one user claim. If neither has a
 * user claim, the e-mail decides; otherwise neither e-mail nor workspace is enough.
 */
export function speakForOne(a: Speaker, b: Speaker): boolean {
	const [ours, theirs] = [claimsOf(a), claimsOf(b)];
	const isFirstSeen = (claims: readonly UserClaim[], { ids = [] }: Speaker) =>
		ids.some((id) => claims.includes(firstSeenAs(id)));
	// An id is derived from a user and a workspace.
	if (isFirstSeen(ours, b) || isFirstSeen(theirs, a)) return true;
	if (a.workspaceId !== b.workspaceId) return false;
	const isOfUser = (claim: UserClaim) => !claim.startsWith(FIRST_SEEN);
	if (ours.some(isOfUser) || theirs.some(isOfUser)) return ours.some((claim) => theirs.includes(claim));
	return a.email !== undefined && a.email.toLowerCase() === b.email?.toLowerCase();
}

/**
 * True if a token that was exchanged for one of `known` belongs to another account. The exchange proves that both have
 * one owner, so only a contradiction counts: another workspace, or a claim with another value and none in common.
 */
export function isOfAnother(known: Speaker, token: Speaker): boolean {
	if (speakForOne(known, token)) return false;
	if (known.workspaceId !== token.workspaceId) return true;
	const claims = claimsOf(known);
	// An older version stored one value without its claim. It is read as either of two claims, so it contradicts nothing.
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

/** Returns every account that a token identifies, oldest first. If there are several, they are one account. */
export function accountsOf(accounts: readonly Account[], speaker: Speaker): Account[] {
	return accounts.filter((account) => speakForOne(account, speaker)).sort((a, b) => a.addedAt - b.addedAt);
}

/** Returns the account that a token identifies. Of several, the oldest keeps its id. */
export function accountOf(accounts: readonly Account[], speaker: Speaker): Account | undefined {
	return accountsOf(accounts, speaker)[0];
}

/** True if a token has a new claim of an account, or shows that two accounts are one. */
export function tellsMore(accounts: readonly Account[], account: Account, token: Speaker): boolean {
	const known = claimsOf(account);
	return claimsOf(token).some((claim) => !known.includes(claim)) || accountsOf(accounts, token).length > 1;
}

/**
 * Returns the account with exactly this id. An account that it was merged into does not count, since it has another
 * lock.
 */
export function accountIn(accounts: readonly Account[], id: AccountId): Account | undefined {
	return accounts.find((account) => account.id === id);
}

/** Returns the account with this id, or the one that it was merged into. */
export function accountWith(accounts: readonly Account[], id: AccountId): Account | undefined {
	return accounts.find((account) => account.id === id) ?? accounts.find(({ formerIds }) => formerIds?.includes(id));
}

/** A sign-in as it is stored. */
type SignIn = Pick<Account, "id" | "label" | "credential" | "source" | "linked">;

/**
 * Returns the account of a sign-in at `now`, epoch ms. `known` keeps its label, its former ids and the time at which it
 * was added, and stays enabled or disabled.
 */
export function signedInto(
	known: Account | undefined,
	{ workspaceId, userId, email, plan, claims }: Pick<Account, "workspaceId" | "userId" | "email" | "plan" | "claims">,
	{ id, label, credential, source, linked }: SignIn,
	now: number,
): Account {
	return {
		id,
		workspaceId,
		userId,
		email,
		plan,
		claims,
		formerIds: known?.formerIds,
		label: known?.label ?? label,
		credential,
		source,
		linked,
		enabled: known?.enabled ?? true,
		disabledReason: known?.disabledReason,
		needsLogin: undefined,
		addedAt: known?.addedAt ?? now,
	};
}

/** Returns `id`, or the next id that no account has or had. Two users may have the same value in different claims. */
export function unusedId(id: AccountId, accounts: readonly Account[]): AccountId {
	let free = id;
	for (let tries = 2; accountWith(accounts, free); tries += 1) {
		const next = /^[0-9a-f]{12}$/.test(id) ? (BigInt(`0x${free}`) + 1n) % 2n ** 48n : undefined;
		free = asAccountId(next === undefined ? `${id}-${tries}` : next.toString(16).padStart(12, "0"));
	}
	return free;
}

/** Groups items by account. One item may prove that two earlier groups are the same. */
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
		// A group keeps its position.
		groups = first
			? groups
					.filter((group) => group === first || !same.includes(group))
					.map((group) => (group === first ? united : group))
			: [...groups, united];
	}
	return groups.map((group) => group.items);
}
