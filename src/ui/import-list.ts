import { type Account, printable } from "../domain/account.ts";
import {
	type Finding,
	type ImportPlan,
	isTaken,
	type PlannedImport,
	TOOLS,
	type ToolName,
	type Verdict,
} from "../domain/import.ts";
import { plural } from "./format.ts";
import { signInAgain } from "./messages.ts";

/** How what was found is shown. */
export interface ImportListOptions {
	/** The person's home, written `~`. */
	readonly home: string;
	/** Epoch ms. */
	readonly now: number;
	/** The only tool that was looked at; `file` where it was a path. */
	readonly tool: ToolName | undefined;
}

const VERDICTS: Readonly<Record<Verdict, string>> = {
	add: "new",
	renew: "new sign-in",
	have: "here already",
	older: "an older copy",
	same: "the same sign-in",
	spent: "used up",
};

/** What was found, a line each, and what was left out and why. */
export function importList({ planned, leftOut }: ImportPlan, options: ImportListOptions): string {
	if (planned.length === 0 && leftOut.length === 0) return nothingFound(options.tool);
	const found = planned.map(
		(each) => `  ${VERDICTS[each.verdict]}: ${whoIs(each, options)}, ${placeOf(each.found, options)}`,
	);
	const heading = planned.length > 0 ? [`Found ${plural(planned.length, "Codex sign-in")}:`] : [];
	const out = leftOut.map((each) => `  ${placeOf(each, options)} ${each.reason}`);
	return [...heading, ...found, ...(out.length > 0 ? ["Left out:"] : []), ...out].map(printable).join("\n");
}

/** In one line, why nothing of what was named could be taken. */
export function importFailure(plan: ImportPlan, options: ImportListOptions): string {
	const reasons = plan.leftOut.map((each) => `${placeOf(each, options)} ${each.reason}`).join("; ");
	return `${reasons === "" ? importList(plan, options) : `${printable(reasons)}.`} Nothing was imported.`;
}

function nothingFound(tool: ToolName | undefined): string {
	if (!tool) return "No other tool on this machine keeps a Codex sign-in.";
	return tool === "file" ? "No Codex sign-in was found there." : `No Codex sign-in of ${TOOLS[tool]} was found.`;
}

function whoIs({ account, owner, found }: PlannedImport, { now }: ImportListOptions): string {
	const name = account?.label ?? owner.email ?? found.name ?? owner.id;
	return found.credential.expiresAt > now ? name : `${name} (its token has run out and is renewed at first use)`;
}

function placeOf({ tool, path, name }: Finding, { home }: ImportListOptions): string {
	const isAtHome = path.startsWith(home) && /^[/\\]/.test(path.slice(home.length));
	const place = isAtHome ? `~${path.slice(home.length)}` : path;
	const called = name !== undefined && !name.includes("@") ? ` ${name}` : "";
	return tool === "file" ? place : `${TOOLS[tool]}${called} (${place})`;
}

/** True where carrying the plan out would change something. */
export function isWorthTaking({ planned }: ImportPlan): boolean {
	return planned.some(isTaken);
}

/** What was taken, and what follows from a sign-in that two programs share. */
export function importOutcome({ planned }: ImportPlan, taken: readonly Account[]): string {
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
	return [done, ...warnings].map(printable).join("\n");
}

function stillUsed(tool: string, accounts: readonly Account[]): string[] {
	const [first, ...others] = accounts;
	if (!first) return [];
	const own = others.length === 0 ? signInAgain(first) : "/multicodex login <account>";
	const whose = accounts.map(({ label }) => label).join(", ");
	return [
		`${capitalised(tool)} still uses the sign-in of ${whose}; whichever of the two renews it second is signed out. ${own} gives a sign-in of its own.`,
	];
}

function outdated(tool: string, accounts: readonly Account[]): string[] {
	if (accounts.length === 0) return [];
	const whose = accounts.map(({ label }) => label).join(", ");
	return [`${capitalised(tool)} has to sign in again once ${whose} was used here: the sign-in is renewed then.`];
}

/** Names of tools stay as they are written. */
function capitalised(subject: string): string {
	return subject.replace(/^the /, "The ");
}
