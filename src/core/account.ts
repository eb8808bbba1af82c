import { type Floors, reachedCap } from "./caps.ts";
import type { Cooldown } from "./cooldown.ts";
import { readyAt } from "./cooldown.ts";
import type { AccountId, WorkspaceId } from "./ids.ts";
import { hideEmails } from "./privacy.ts";
import { creditsUntil } from "./quota.ts";
import type { UsageSnapshot } from "./usage.ts";

const LONGEST_LABEL = 40;

/** Access and refresh token of one account. Never logged, and never part of the state file. */
export interface Credential {
	readonly access: string;
	readonly refresh: string;
	/** Expiry of the access token, epoch ms. */
	readonly expiresAt: number;
}

/** Reason for a new sign-in if the token names no workspace. pi needs the workspace from the token. */
export const NO_WORKSPACE = "no_workspace";

/** Why an account cannot be used until the person signs in again. */
export interface NeedsLogin {
	readonly reason: string;
	readonly at: number;
}

/** One ChatGPT login: a user in a workspace, with its credential. */
export interface Account {
	readonly id: AccountId;
	/** Short human name, unique in the pool. */
	readonly label: string;
	readonly email: string | undefined;
	readonly userId: string | undefined;
	readonly workspaceId: WorkspaceId;
	readonly plan: string | undefined;
	/** Every user claim that any of its tokens has had. */
	readonly claims?: readonly string[] | undefined;
	/** Ids of accounts that turned out to be the same and were merged into this one. */
	readonly formerIds?: readonly AccountId[] | undefined;
	readonly credential: Credential;
	/** `pi`, `login` or `import:<tool>`. */
	readonly source: string;
	/** True while pi's `auth.json` owns the credential. */
	readonly linked: boolean;
	/** The `auth.json` of another agent directory owns the credential. Only a process of that directory renews it. */
	readonly linkedElsewhere?: boolean | undefined;
	/**
	 * Several machines share the account: its row is in their database. Its refresh token is a placeholder and never
	 * sent.
	 */
	readonly shared?: boolean | undefined;
	readonly enabled: boolean;
	/** Why the account was disabled, unless the person did it. */
	readonly disabledReason: string | undefined;
	readonly needsLogin: NeedsLogin | undefined;
	readonly addedAt: number;
}

/** The state of an account as shown to a person. `cooling` means that it can serve no model. */
export type AccountState = "ready" | "cooling" | "needs-login" | "disabled";

/**
 * Returns the state of an account at `now` (epoch ms), for any model. An account with only bought credits left counts
 * as cooling, since only a session already on it may continue there. So does an account at its cap.
 */
export function stateOf(
	account: Account,
	cooldowns: readonly Cooldown[],
	now: number,
	usage?: UsageSnapshot | undefined,
	floors?: Floors | undefined,
): AccountState {
	if (!account.enabled) return "disabled";
	if (account.needsLogin) return "needs-login";
	const isCooling = readyAt(cooldowns, undefined, now) > now || creditsUntil(usage, now) !== undefined;
	return isCooling || reachedCap(floors, usage, now) ? "cooling" : "ready";
}

/** Returns a label that is not in `taken`: `wanted`, else `wanted-2`, `wanted-3` and so on. */
export function uniqueLabel(wanted: string, taken: ReadonlySet<string>): string {
	if (!taken.has(wanted)) return wanted;
	let suffix = 2;
	while (taken.has(`${wanted}-${suffix}`)) suffix += 1;
	return `${wanted}-${suffix}`;
}

/** Creates a function that makes each label differ from all earlier ones, as {@link uniqueLabel} does. */
export function createUniqueLabels(): (wanted: string) => string {
	const taken = new Set<string>();
	/** The first suffix to try for a label. All lower ones are taken. */
	const nextSuffix = new Map<string, number>();
	return (wanted) => {
		let label = wanted;
		let suffix = nextSuffix.get(wanted) ?? 2;
		for (; taken.has(label); suffix += 1) label = `${wanted}-${suffix}`;
		nextSuffix.set(wanted, suffix);
		taken.add(label);
		return label;
	};
}

/** Words that have another meaning in place of a label. */
const RESERVED_LABELS = new Set(["auto", "add", "all"]);
/** Matches printable ASCII text. Most texts are, and need none of the tables below. */
const PLAIN = /^[\x20-\x7e]*$/;
/**
 * Control and format characters, which move the cursor or change the direction of text. Emoji need the zero-width
 * joiner.
 */
const UNPRINTABLE = String.raw`(?!\u200d)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]`;

interface UnicodeTables {
	readonly unprintable: RegExp;
	/**
	 * Characters that a label must not contain: the unprintable ones, and quotes, since a label may be typed in quotes.
	 */
	readonly refused: RegExp;
	readonly visible: RegExp;
}
let tables: UnicodeTables | undefined;

/** Builds the tables at first use. That takes a millisecond, and few starts need them. */
function unicodeTables(): UnicodeTables {
	tables ??= {
		unprintable: new RegExp(UNPRINTABLE, "gu"),
		refused: new RegExp(`${UNPRINTABLE}|"`, "gu"),
		visible: /[^\p{C}\p{Z}\p{M}]/u,
	};
	return tables;
}

/** Makes untrusted text safe to show: it cannot move the cursor, set colours or change the direction. */
export function printable(text: string): string {
	return PLAIN.test(text) ? text : text.replaceAll(unicodeTables().unprintable, "?");
}

/** Names a character in a sentence; by its number if it is invisible. */
function nameOf(character: string): string {
	const number = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
	return character === '"' ? '"' : `U+${number}`;
}

/** Returns why `label` is not a valid label, as the end of a sentence; undefined if it is valid. */
export function labelProblem(label: string): string | undefined {
	const { visible, refused: refusedCharacters } = unicodeTables();
	if (!visible.test(label)) return "is empty";
	if (label !== label.trim()) return "begins or ends with a blank";
	if ([...label].length > LONGEST_LABEL) return `has more than ${LONGEST_LABEL} characters`;
	const refused = new Set(label.match(refusedCharacters));
	if (refused.size > 0) return `has characters that a label cannot have: ${[...refused].map(nameOf).join(", ")}`;
	if (label.startsWith("-")) return "begins like an option";
	return RESERVED_LABELS.has(label.toLowerCase()) ? "has a meaning of its own" : undefined;
}

/**
 * Finds the accounts that `text` may mean: by exact label, else by exact e-mail, else by id prefix, else by a label
 * with a hidden e-mail. If several match, the text is ambiguous.
 */
export function matchAccounts(accounts: readonly Account[], text: string): Account[] {
	const wanted = text.trim().toLowerCase();
	if (wanted === "") return [];
	const tests: ((account: Account) => boolean)[] = [
		(account) => account.label === text.trim(),
		(account) => account.label.toLowerCase() === wanted,
		(account) => account.email?.toLowerCase() === wanted,
		(account) => account.id.startsWith(wanted),
		// With `maskEmails`, screens suggest commands with the label in this form.
		(account) => account.label.includes("@") && hideEmails(account.label) === text.trim(),
	];
	for (const test of tests) {
		const matches = accounts.filter(test);
		if (matches.length > 0) return matches;
	}
	return [];
}
