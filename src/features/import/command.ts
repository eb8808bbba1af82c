import { homedir } from "node:os";
import type { ToolName } from "../../core/account-source.ts";
import type { AccountId } from "../../core/ids.ts";
import type { Pool } from "../../core/pool/pool.ts";
import type { Clock } from "../../core/ports.ts";
import type { AfterSignIn } from "../../pi/after-sign-in.ts";
import { askToTick, type Chosen } from "../../pi/checklist.ts";
import {
	accountRef,
	type CommandContext,
	isFirstPositional,
	type Outcome,
	parseOptions,
	type Subcommand,
} from "../../pi/command.ts";
import { nearest } from "../../ui-kit/nearest.ts";
import type { Imports } from "./imports.ts";
import type { ImportPlan } from "./rules.ts";
import * as texts from "./texts.ts";
import {
	type ImportListOptions,
	importChecklist,
	importFailure,
	importList,
	importOutcome,
	importRest,
	importRows,
	isWorthTaking,
} from "./view.ts";

const DRY_RUN = "--dry-run";

interface Args {
	/** The tool or path that was typed; undefined without one. */
	readonly wanted: string | undefined;
	readonly isDryRun: boolean;
}

interface Ports {
	readonly imports: Imports;
	readonly pool: Pick<Pool, "accounts">;
	readonly clock: Clock;
	readonly afterSignIn: AfterSignIn;
}

/** `/multicodex import`: imports accounts from other tools. */
export function createImport(ports: Ports): Subcommand<Args> {
	const { imports } = ports;
	const usage = "import [tool|path] [--dry-run]";
	return {
		name: "import",
		usage,
		summary: "import accounts from other tools",
		complete: (before) => {
			const tools = isFirstPositional(before) ? imports.tools.map((tool) => ({ value: tool, label: tool })) : [];
			const dryRun = { value: DRY_RUN, label: DRY_RUN, description: "only show what would be imported" };
			return before.includes(DRY_RUN) ? tools : [...tools, dryRun];
		},
		parse: (words) => {
			const given = parseOptions(words, [DRY_RUN], usage);
			if ("failure" in given) return given;
			return { wanted: given.rest.join(" ").trim() || undefined, isDryRun: given.options.has(DRY_RUN) };
		},
		run: (args, ctx) => importWanted(args, ctx, ports),
	};
}

async function importWanted({ wanted, isDryRun }: Args, ctx: CommandContext, ports: Ports): Promise<Outcome> {
	const { imports } = ports;
	const named = imports.tools.find((known) => known === wanted);
	const isPath = wanted !== undefined && named === undefined;
	const tool = isPath ? "file" : named;
	const look = () => (isPath ? imports.lookAt(wanted) : imports.lookIn(named));
	const plan = await look();
	if (!plan) {
		return { failure: texts.nothingToImport(wanted ?? "", nearest(wanted ?? "", imports.tools), imports.tools) };
	}
	if (isDryRun) return { text: importList(plan, optionsOf(tool, ports)), json: asJson(plan, []) };
	return take(plan, { isAnnounced: wanted === undefined, tool, look }, ctx, ports);
}

/** What was asked for. */
interface ImportWish {
	/** True if nothing was named: what was found is shown before anything is imported. */
	readonly isAnnounced: boolean;
	readonly tool: ToolName | undefined;
	readonly look: () => Promise<ImportPlan | undefined>;
}

async function take(
	plan: ImportPlan,
	{ isAnnounced, tool, look }: ImportWish,
	ctx: CommandContext,
	ports: Ports,
): Promise<Outcome> {
	const options = optionsOf(tool, ports);
	const list = importList(plan, options);
	if (!isWorthTaking(plan)) {
		// A named tool without accounts is a failure. A general search that finds nothing new is not.
		if (!isAnnounced && plan.planned.length === 0) return { failure: importFailure(plan, options) };
		await ports.imports.take(plan);
		const isAnythingThere = plan.planned.length + plan.leftOut.length > 0;
		return { text: isAnythingThere ? `${list}\nNothing is left to import.` : list, json: asJson(plan, []) };
	}
	let chosen: ReadonlySet<AccountId> | undefined;
	if (isAnnounced && ctx.host.hasUI) {
		const choice = await chooseRows(plan, options, ctx);
		if (choice.kind !== "chosen") {
			const isCancelled = choice.kind === "cancelled";
			return { text: "Nothing was imported.", json: asJson(plan, []), isCancelled };
		}
		chosen = choice.ids;
	}
	// The other tools kept running while the question was open. What they renewed meanwhile is spent.
	const current = chosen ? onlyChosen(await look(), plan, chosen) : plan;
	const taken = await ports.imports.take(current);
	const { modelAdvice, usageOf } = await ports.afterSignIn(taken, ctx);
	const how = { modelAdvice, usageOf, total: ports.pool.accounts().length, now: ports.clock.now() };
	const outcome = importOutcome(current, taken, ctx.host.hasUI ? how : undefined);
	// A person who has just chosen from the list need not read it again.
	const text = chosen ? outcome : `${list}\n${outcome}`;
	return { text, json: asJson(current, taken) };
}

/** Lets the person choose among the accounts that can be imported, on a panel or in dialogs. */
async function chooseRows(plan: ImportPlan, options: ImportListOptions, ctx: CommandContext): Promise<Chosen> {
	const rest = importRest(plan, options);
	if (rest !== undefined) ctx.host.ui.notify(rest, "info");
	const checklist = importChecklist(importRows(plan, options));
	return askToTick(ctx, checklist, `${checklist.rows[0]?.text}. ${checklist.note}`);
}

/** Returns what was chosen, as the other tools store it now. */
function onlyChosen(current: ImportPlan | undefined, shown: ImportPlan, chosen: ReadonlySet<AccountId>): ImportPlan {
	return { planned: (current?.planned ?? []).filter(({ owner }) => chosen.has(owner.id)), leftOut: shown.leftOut };
}

function optionsOf(tool: ToolName | undefined, { clock }: Ports): ImportListOptions {
	return { home: homedir(), now: clock.now(), tool };
}

function asJson({ planned, leftOut }: ImportPlan, taken: Parameters<typeof accountRef>[0][]): unknown {
	return {
		found: planned.map(({ found, owner, verdict, isOwnerActive }) => {
			return { tool: found.tool, path: found.path, account: owner.id, verdict, ownerActive: isOwnerActive };
		}),
		leftOut: leftOut.map(({ tool, path, reason }) => ({ tool, path, reason })),
		imported: taken.map(accountRef),
	};
}
