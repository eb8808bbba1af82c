import { type Account, printable } from "../../core/account.ts";
import type { JoinCodes, Left, SharedPoolStatus } from "../../core/shared-pool.ts";
import { badLabel } from "../../ui-kit/account-texts.ts";
import type { Checklist } from "../../ui-kit/checklist.ts";
import { asWord, formatCount } from "../../ui-kit/format.ts";
import type { ActQuestion } from "../../ui-kit/question.ts";
import { machineList } from "../../ui-kit/shared-texts.ts";
import type { Unshareable } from "./rules.ts";

/** The variable that names a pool for one process. */
const VARIABLE = "PI_MULTICODEX_POOL";

/** Returns the text for `share` if no pool was joined. */
export function noPool(): string {
	return [
		"This machine has joined no shared pool.",
		"To make one in a Postgres database of yours: /multicodex share <postgres URL>.",
		"To join one: /multicodex join <code>.",
	].join("\n");
}

/** Returns the text for a command that needs a pool. */
export function needsPool(): string {
	return "This machine has joined no shared pool. /multicodex share <postgres URL> makes one, /multicodex join <code> joins one.";
}

/** Returns the text if a pool is already joined. */
export function alreadyIn({ name }: SharedPoolStatus): string {
	return `This machine is already in the shared pool ${printable(name)}. /multicodex share <account> adds accounts to it, /multicodex leave leaves it.`;
}

/** Returns the text if the environment names the pool of this process. */
export function isByEnvironment(): string {
	return `${VARIABLE} names the pool of this pi. Start pi without it to change that.`;
}

/** Returns the text for a runner who asks for what only a keeper may do. */
export function keepersOnly({ name }: SharedPoolStatus, what: string): string {
	return `This machine is a runner of ${printable(name)}: ${what} has to be done on a keeper's machine.`;
}

/** Returns the text for a join code given to `share`. */
export function codeInPlaceOfUrl(): string {
	return "That is a join code. /multicodex join takes it; share takes the URL of a database.";
}

/** Returns the text for a URL given to `join`. */
export function urlInPlaceOfCode(): string {
	return "That is a URL. /multicodex share takes it, to make a pool; join takes a join code, which /multicodex share --codes shows on a keeper's machine.";
}

/** Returns the text for something given to `join` that is not a join code. */
export function noCode(): string {
	return "That is not a join code. One begins with pi-pool-; /multicodex share --codes shows it on a keeper's machine.";
}

/** Returns the text for `join` without a code, where none can be asked for. */
export function codeMissing(): string {
	return "Name the join code, or a file that contains it: /multicodex join @code.txt. Standard input is not read: pi would send it to the model.";
}

/** Returns the text for an empty file. */
export function emptyFile(path: string): string {
	return `${printable(path)} is empty.`;
}

/** Returns the text for a file that cannot be read. */
export function unreadableFile(path: string, code: string | undefined): string {
	const why = code === "ENOENT" ? "does not exist" : "cannot be read";
	return `${printable(path)} ${why}${code === undefined || code === "ENOENT" ? "" : ` (${code})`}.`;
}

/** Returns the text for an option without its value. */
export function valueMissing(option: string): string {
	return `${option} needs a name after it.`;
}

/** Returns the text for an invalid machine name. */
export function badMachine(machine: string, problem: string): string {
	return (badLabel(machine, problem) ?? "").replace(/^That label/, "That name");
}

/** Returns the text for an option that excludes all others. */
export function standsAlone(option: string): string {
	return `${option} cannot be combined with anything else.`;
}

/** Returns the text if accounts must be named because no question can be asked. */
export function nameAccounts(offered: readonly Account[]): string {
	return `Name the accounts to share, or all: ${offered.map(({ label }) => asWord(label)).join(", ")}. Nothing was changed.`;
}

/** Returns the text if no account of this machine can be shared, and why. */
export function nothingToShare(rest: readonly Unshareable[]): string {
	if (rest.length === 0) return "There is no account to share yet: /multicodex add. Nothing was changed.";
	return `No account can be shared. ${rest.map(whyNot).join(" ")} Nothing was changed.`;
}

/** Returns the text for named accounts that cannot be shared. */
export function cannotShare(rest: readonly Unshareable[]): string {
	return `${rest.map(whyNot).join(" ")} Nothing was changed.`;
}

/** Lists accounts that are not offered, and why. */
export function notOffered(rest: readonly Unshareable[]): string {
	return `Not offered: ${rest.map(whyNot).join(" ")}`;
}

function whyNot({ account, reason }: Unshareable): string {
	const { label } = account;
	const login = `/multicodex login ${asWord(label)}`;
	switch (reason) {
		case "pi's own":
			return `${label} is pi's own login, which stays on this machine: ${login} gives it a sign-in of its own, which can be shared.`;
		case "elsewhere":
			return `${label} is the login of a pi in another agent directory: ${login} gives it a sign-in of its own, which can be shared.`;
		case "signed out":
			return `${label} is signed out: ${login} first.`;
		case "shared":
			return `${label} is already shared.`;
	}
}

/** Returns the checklist of accounts to move, which also says what moving does. */
export function checklistOf(accounts: readonly Account[], heading: string): Checklist {
	const total = accounts.length;
	return {
		heading,
		rows: accounts.map(({ id, label, email, plan }) => ({
			id,
			text: label,
			about: [label, email === label ? undefined : email, plan].filter(Boolean).join(" · "),
		})),
		answer: (chosen) => shareAnswer(chosen, total),
		nothing: "No, share nothing",
		note: "Every machine in the pool uses them. Their sign-ins move into the database, sealed.",
		cancelHint: "esc share nothing",
	};
}

function shareAnswer(chosen: number, total: number): string {
	if (chosen === 0) return "Nothing is chosen";
	if (chosen < total) return `Yes, share ${chosen} of ${formatCount(total)}`;
	return total === 1 ? "Yes, share it" : `Yes, share all ${formatCount(total)}`;
}

/** Returns the heading of the question about the first accounts of a new pool. */
export function newPoolHeading(name: string): string {
	return `Make the shared pool ${printable(name)}?`;
}

/** Shown while the database has not answered. */
export const ASKING = "Codex: asking the database…";

/** The text if nothing was done. */
export const NOTHING_SHARED = "Nothing was shared.";

/** Returns the text after a pool was created. */
export function made(status: SharedPoolStatus | undefined, accounts: readonly Account[], codes: JoinCodes): string {
	const name = status ? ` ${printable(status.name)}` : "";
	const where = status ? ` in ${printable(status.place)}` : "";
	return [`Codex: made the shared pool${name}${where}, with ${labelsOf(accounts)}.`, ...codeLines(codes)].join("\n");
}

/** Returns the codes for `share --codes`. */
export function codesShown({ name }: SharedPoolStatus, codes: JoinCodes): string {
	return [`Join codes of the shared pool ${printable(name)}:`, ...codeLines(codes)].join("\n");
}

/** Says what each code allows, and that both are secret. */
function codeLines({ keeper, runner }: JoinCodes): string[] {
	return [
		"Keeper, for a machine of yours: may renew, add and remove accounts.",
		`  ${keeper}`,
		"Runner, for a container or CI: uses accounts, and can read no refresh token.",
		`  ${runner}`,
		`Both are secret: anyone who has one can use the accounts. /multicodex join takes one; in a container, put it into ${VARIABLE}.`,
	];
}

/** Returns the text after accounts were added to the pool. */
export function added({ name }: SharedPoolStatus, accounts: readonly Account[]): string {
	const verb = accounts.length === 1 ? "is" : "are";
	return `Codex: ${labelsOf(accounts)} ${verb} in the shared pool ${printable(name)} now, for all its machines.`;
}

/** Asks before new keys are made. */
export function rotateQuestion({ name, others }: SharedPoolStatus): ActQuestion {
	const known = others.length === 0 ? "" : ` (seen lately: ${machineList(others)})`;
	return {
		heading: `Make new keys for the shared pool ${printable(name)}?`,
		text: `All codes printed so far stop working. Every other machine${known} has to join again with a new one. ${OLD_CODES}`,
		act: "Make new keys",
		keep: "Keep the keys",
	};
}

/** What an old code still allows after its keys were replaced. */
const OLD_CODES =
	"What was read with an old code stays known to its holder: access tokens until they expire, sign-ins too with a keeper's, and the password of the database.";

/** Returns the text if no question can be asked. */
export function rotateNeedsYes(): string {
	return "New keys end every join code printed so far. To make them: /multicodex share --rotate --yes.";
}

/** Returns the text after new keys were made. */
export function rotated({ name }: SharedPoolStatus, codes: JoinCodes): string {
	return [
		`Codex: the shared pool ${printable(name)} has new keys. Earlier codes give access to nothing new.`,
		...codeLines(codes),
		`${OLD_CODES} If one is in the wrong hands, change that password, and sign in to each account again: /multicodex login.`,
	].join("\n");
}

/** The text if the keys were kept. */
export const KEYS_KEPT = "The keys were kept.";

/** Returns the text after a pool was joined. */
export function joined(status: SharedPoolStatus, shared: readonly Account[]): string {
	const { name, role, machine, others } = status;
	const has = shared.length === 0 ? "It has no account yet." : `It has ${labelsOf(shared)}.`;
	const also = others.length === 0 ? "" : ` Other machines: ${machineList(others)}.`;
	return `Codex: ${printable(machine)} has joined the shared pool ${printable(name)} as a ${role}. ${has}${also}`;
}

/** The title of the field for a code. */
export const CODE_TITLE = "Join code of the shared pool";

/** The text if no code was given. */
export const NOT_JOINED = "No pool was joined.";

/** What happens to accounts when a machine leaves. */
export interface Leaving {
	readonly own: readonly Account[];
	/** Accounts that stay in the pool. */
	readonly going: readonly Account[];
	/** Accounts that leave the pool with this machine. */
	readonly taken: readonly Account[];
}

/** Asks before a machine leaves. */
export function leaveQuestion({ name, role, others }: SharedPoolStatus, { own, going, taken }: Leaving): ActQuestion {
	const goes = going.length === 0 ? [] : [`Stays in the pool, for its other machines: ${labelsOf(going)}.`];
	const takes = taken.length === 0 ? [] : [`Leaves the pool, for this machine alone: ${labelsOf(taken)}.`];
	const stays = own.length === 0 ? [] : [`Stays on this machine: ${labelsOf(own)}.`];
	const isLast = role === "keeper" && others.length === 0 && going.length > 0;
	const last = isLast
		? ["No other machine was seen lately. Keep a join code (/multicodex share --codes): without one the pool is lost."]
		: [];
	return {
		heading: `Leave the shared pool ${printable(name)}?`,
		text: [...goes, ...takes, ...stays, ...last].join("\n"),
		act: "Leave",
		keep: "Stay",
	};
}

/** Returns the text if no question can be asked. */
export function leaveNeedsYes({ name }: SharedPoolStatus): string {
	return `To leave the shared pool ${printable(name)}: /multicodex leave --yes. Keep a join code to come back with.`;
}

/** Returns why the pool was not left: sign-ins of this machine are not in the database yet. */
export function leaveNeedsForce(waiting: Waiting): string {
	return `${unstoredText(waiting)} The pool was not left. If the database does not come back: /multicodex leave --yes --force.`;
}

/** Returns the second question of `leave`, for a machine whose sign-ins are not in the database yet. */
export function forceQuestion({ name }: SharedPoolStatus, waiting: Waiting): ActQuestion {
	return {
		heading: `Leave the shared pool ${printable(name)} anyway?`,
		text: unstoredText(waiting),
		act: "Leave anyway",
		keep: "Stay",
	};
}

type Waiting = Extract<Left, { readonly kind: "waiting" }>;

function unstoredText({ unstored: { renewed, moving }, why }: Waiting): string {
	const reason = why === undefined ? [] : [why];
	const kept =
		renewed.length === 0
			? []
			: [
					`Renewed here and not in the database yet: ${renewed.join(", ")}. If you leave now, they stay on this machine, and every other machine of the pool needs a new sign-in for them.`,
				];
	const lost =
		moving.length === 0
			? []
			: [
					`Being moved: ${moving.join(", ")}. If you leave now, they need a new sign-in on this machine: /multicodex login.`,
				];
	return [...reason, ...kept, ...lost].join(" ");
}

/** The text if the machine has stayed. */
export const STAYED = "The pool was not left.";

/** Returns the text after a machine has left. */
export function left({ name }: SharedPoolStatus, { own, taken }: Leaving): string {
	const here = [...own, ...taken];
	const has = here.length === 0 ? "It has no account of its own: /multicodex add." : `It has ${labelsOf(here)}.`;
	return `Codex: this machine has left the shared pool ${printable(name)}. ${has}`;
}

/** The text after a machine has left a pool that its settings named but whose code was gone. */
export const LEFT_WITHOUT_CODE = "Codex: this machine's settings no longer name a shared pool.";

/** Returns the text for an account to take along that is not shared. */
export function notShared({ label }: Account): string {
	return `${label} is not shared, and stays on this machine anyway.`;
}

function labelsOf(accounts: readonly Account[]): string {
	return accounts.map(({ label }) => label).join(", ");
}
