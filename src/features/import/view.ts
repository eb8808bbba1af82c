import { type Account, printable } from "../../core/account.ts";
import { TOOLS, type ToolName } from "../../core/account-source.ts";
import type { AccountId } from "../../core/ids.ts";
import type { UsageSnapshot } from "../../core/usage.ts";
import { leftUntil, signInAgain } from "../../ui-kit/account-texts.ts";
import type { Checklist } from "../../ui-kit/checklist.ts";
import { formatCount, plural } from "../../ui-kit/format.ts";
import { type Finding, type ImportPlan, isTaken, type PlannedImport, type Verdict } from "./rules.ts";

/** How to show what was found. */
export interface ImportListOptions {
	/** The person's home, shown as `~`. */
	readonly home: string;
	/** Epoch ms. */
	readonly now: number;
	/** The only tool that was searched; `file` for a path. */
	readonly tool: ToolName | undefined;
}

const VERDICTS: Readonly<Record<Verdict, string>> = {
	add: "new",
	renew: "new sign-in",
	have: "already added",
	older: "an older copy",
	same: "the same sign-in",
	spent: "used up",
};

/** Lists what was found, one line each, and what was left out and why. */
export function importList({ planned, leftOut }: ImportPlan, options: ImportListOptions): string {
	if (planned.length === 0 && leftOut.length === 0) return nothingFound(options.tool);
	const found = planned.map(
		(each) => `  ${VERDICTS[each.verdict]}: ${whoIs(each, options)}, ${placeOf(each.found, options)}`,
	);
	const heading = planned.length > 0 ? [`Found ${plural(planned.length, "Codex sign-in")}:`] : [];
	const out = leftOut.map((each) => `  ${placeOf(each, options)} ${each.reason}`);
	return [...heading, ...found, ...(out.length > 0 ? ["Left out:"] : []), ...out].map(printable).join("\n");
}

/** One account to choose. */
export interface ImportRow {
	readonly id: AccountId;
	/** Its label, or the label that it would get. */
	readonly name: string;
	/** Where it was found. */
	readonly place: string;
	/** The consequence of two programs sharing a sign-in; undefined if the tool no longer uses it. */
	readonly warning: string | undefined;
}

/** Returns the accounts of a plan that can be imported, in its order. */
export function importRows({ planned }: ImportPlan, options: ImportListOptions): ImportRow[] {
	const offered = planned.filter(isTaken);
	const names = offered.map(nameOf);
	// A person in two workspaces has one e-mail.
	const isTwin = (name: string) => names.indexOf(name) !== names.lastIndexOf(name);
	return offered.map((each) => ({
		id: each.owner.id,
		name: isTwin(nameOf(each)) ? `${nameOf(each)} (${each.owner.id})` : nameOf(each),
		place: placeOf(each.found, options),
		warning: each.isOwnerActive ? `${capitalised(TOOLS[each.found.tool])} still uses this sign-in.` : undefined,
	}));
}

/** Returns the rows as a list to choose from. */
export function importChecklist(rows: readonly ImportRow[]): Checklist {
	return {
		heading: `Import ${plural(rows.length, "Codex account")}?`,
		rows: rows.map(({ id, name, place, warning }) => ({
			id,
			text: `${name}, ${place}`,
			about: [name, place, ...(warning === undefined ? [] : [warning])].join(" · "),
		})),
		answer: (chosen) => importAnswer(chosen, rows.length),
		nothing: "No, import nothing",
		note: "These are copied; the other tools keep theirs.",
		cancelHint: "esc import nothing",
	};
}

function importAnswer(chosen: number, total: number): string {
	if (chosen === 0) return "Nothing is chosen";
	if (chosen < total) return `Yes, import ${chosen} of ${formatCount(total)}`;
	return total === 1 ? "Yes, import it" : `Yes, import all ${formatCount(total)}`;
}

/**
 * Lists what was found but cannot be chosen: known accounts, and what was left out and why; undefined if there is
 * nothing.
 */
export function importRest({ planned, leftOut }: ImportPlan, options: ImportListOptions): string | undefined {
	const rest = { planned: planned.filter((each) => !isTaken(each)), leftOut };
	return rest.planned.length + leftOut.length > 0 ? importList(rest, options) : undefined;
}

/** Says in one line why nothing of what was named could be imported. */
export function importFailure(plan: ImportPlan, options: ImportListOptions): string {
	const reasons = plan.leftOut.map((each) => `${placeOf(each, options)} ${each.reason}`).join("; ");
	return `${reasons === "" ? importList(plan, options) : `${printable(reasons)}.`} Nothing was imported.`;
}

function nothingFound(tool: ToolName | undefined): string {
	if (!tool) return "Nothing to import: no other tool on this machine keeps a Codex sign-in.";
	return tool === "file" ? "No Codex sign-in was found there." : `No Codex sign-in of ${TOOLS[tool]} was found.`;
}

function nameOf({ account, owner, found }: PlannedImport): string {
	return account?.label ?? owner.email ?? found.name ?? owner.id;
}

function whoIs(planned: PlannedImport, { now }: ImportListOptions): string {
	const { found } = planned;
	const name = nameOf(planned);
	return found.credential.expiresAt > now ? name : `${name} (its token has expired and is renewed at first use)`;
}

function placeOf({ tool, path, name }: Finding, { home }: ImportListOptions): string {
	const isAtHome = path.startsWith(home) && /^[/\\]/.test(path.slice(home.length));
	const place = isAtHome ? `~${path.slice(home.length)}` : path;
	const called = name !== undefined && !name.includes("@") ? ` ${name}` : "";
	return tool === "file" ? place : `${TOOLS[tool]}${called} (${place})`;
}

/** True if carrying out the plan would change something. */
export function isWorthTaking({ planned }: ImportPlan): boolean {
	return planned.some(isTaken);
}

/** What is known after accounts were imported. */
interface ImportedHow {
	/** How to choose a model, if that remains to be done. */
	readonly modelAdvice: string;
	/** Returns what an account has left, if known. */
	usageOf(account: Account): UsageSnapshot | undefined;
	/** Number of accounts in the pool now. */
	readonly total: number;
	/** Epoch ms. */
	readonly now: number;
}

/** With more accounts than this, they are not listed one by one. */
const MOST_TOLD = 5;

/** Says what was imported and, with `how`, what is left; then the consequence of two programs sharing a sign-in. */
export function importOutcome({ planned }: ImportPlan, taken: readonly Account[], how?: ImportedHow): string {
	if (taken.length === 0) return "Nothing was imported.";
	const done = `Codex: imported ${taken.map(({ label }) => label).join(", ")}.`;
	const shared = planned.filter(isTaken).flatMap(({ found, owner, isOwnerActive }) => {
		const account = taken.find(({ id }) => id === owner.id);
		return account ? [{ tool: TOOLS[found.tool], account, isOwnerActive }] : [];
	});
	const warnings = [...new Set(shared.map(({ tool }) => tool))].flatMap((tool) => {
		const its = shared.filter((each) => each.tool === tool);
		const labels = (isOwnerActive: boolean) =>
			its.filter((each) => each.isOwnerActive === isOwnerActive).map(({ account }) => account);
		return [...stillUsed(tool, labels(true)), ...outdated(tool, labels(false))];
	});
	return [done, ...(how ? whatIsThere(taken, how) : []), ...warnings].map(printable).join("\n");
}

function whatIsThere(taken: readonly Account[], { total, modelAdvice, usageOf, now }: ImportedHow): string[] {
	const left = taken.flatMap((account) => {
		const usage = usageOf(account);
		const words = usage && leftUntil(usage, now);
		return words === undefined ? [] : [`${account.label}: ${words} left.`];
	});
	const pool = `The pool has ${plural(total, "account")} now.`;
	if (left.length > 0 && left.length <= MOST_TOLD) return [...left, `${pool}${modelAdvice}`];
	return [`${pool} /multicodex shows what each has left.${modelAdvice}`];
}

function stillUsed(tool: string, accounts: readonly Account[]): string[] {
	const [first, ...others] = accounts;
	if (!first) return [];
	const own = others.length === 0 ? signInAgain(first) : "/multicodex login <account>";
	const whose = accounts.map(({ label }) => label).join(", ");
	return [
		`${capitalised(tool)} still uses the sign-in of ${whose}; whichever of the two renews it second is signed out. ${own} gives it its own sign-in.`,
	];
}

function outdated(tool: string, accounts: readonly Account[]): string[] {
	if (accounts.length === 0) return [];
	const whose = accounts.map(({ label }) => label).join(", ");
	return [`${capitalised(tool)} has to sign in again after ${whose} was used here, because that renews the sign-in.`];
}

/** Names of tools keep their case. */
function capitalised(subject: string): string {
	return subject.replace(/^the /, "The ");
}
