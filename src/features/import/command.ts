import { homedir } from "node:os";
import type { ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import type { AccountId } from "../../core/ids.ts";
import {
	accountRef,
	isFirstPositional,
	type Outcome,
	parseOptions,
	type Subcommand,
	type SubcommandDeps,
} from "../../pi/command.ts";
import { modeOf } from "../../pi/output.ts";
import { openPanel } from "../../pi/panel.ts";
import { plural } from "../../ui-kit/format.ts";
import * as messages from "../../ui-kit/messages.ts";
import { nearest } from "../../ui-kit/nearest.ts";
import { afterAccountsAdded } from "../sign-in/after-sign-in.ts";
import { createImportPanel } from "./panel.ts";
import type { ImportPlan, ToolName } from "./rules.ts";
import {
	IMPORT_COPIES,
	IMPORT_NOTHING,
	type ImportListOptions,
	type ImportRow,
	importAnswer,
	importChoice,
	importFailure,
	importList,
	importOutcome,
	importRest,
	importRows,
	isWorthTaking,
} from "./view.ts";

const DRY_RUN = "--dry-run";

/** `/multicodex import`: take accounts over from other tools. */
export const importAccounts: Subcommand = {
	name: "import",
	usage: "import [tool|path] [--dry-run]",
	summary: "take accounts over from other tools",
	complete: ({ imports }, before) => {
		const tools = isFirstPositional(before) ? imports.tools.map((tool) => ({ value: tool, label: tool })) : [];
		const dryRun = { value: DRY_RUN, label: DRY_RUN, description: "only show what would be taken" };
		return before.includes(DRY_RUN) ? tools : [...tools, dryRun];
	},
	run: async (words, ctx, deps) => {
		const given = parseOptions(words, [DRY_RUN], importAccounts);
		if ("failure" in given) return given;
		const { imports } = deps;
		const wanted = given.rest.join(" ").trim() || undefined;
		const named = imports.tools.find((known) => known === wanted);
		const isPath = wanted !== undefined && named === undefined;
		const tool = isPath ? "file" : named;
		const look = () => (isPath ? imports.lookAt(wanted) : imports.lookIn(named));
		const plan = await look();
		if (!plan) {
			return { failure: messages.nothingToImport(wanted ?? "", nearest(wanted ?? "", imports.tools), imports.tools) };
		}
		if (given.options.has(DRY_RUN)) return { text: importList(plan, optionsOf(tool, deps)), json: asJson(plan, []) };
		return take(plan, { isAnnounced: wanted === undefined, tool, look }, ctx, deps);
	},
};

/** What was asked for. */
interface ImportWish {
	/** Nothing was named: what was found is shown before anything is taken. */
	readonly isAnnounced: boolean;
	readonly tool: ToolName | undefined;
	readonly look: () => Promise<ImportPlan | undefined>;
}

async function take(
	plan: ImportPlan,
	{ isAnnounced, tool, look }: ImportWish,
	ctx: ExtensionCommandContext,
	deps: SubcommandDeps,
): Promise<Outcome> {
	const options = optionsOf(tool, deps);
	const list = importList(plan, options);
	if (!isWorthTaking(plan)) {
		// A tool that was named and has nothing to give is a failure; a look round that finds nothing new is not.
		if (!isAnnounced && plan.planned.length === 0) return { failure: importFailure(plan, options) };
		await deps.imports.take(plan);
		const isAnythingThere = plan.planned.length + plan.leftOut.length > 0;
		return { text: isAnythingThere ? `${list}\nNothing is left to import.` : list, json: asJson(plan, []) };
	}
	let chosen: ReadonlySet<AccountId> | undefined;
	if (isAnnounced && ctx.hasUI) {
		const choice = await chooseRows(plan, options, ctx, deps);
		if (choice.kind !== "chosen") {
			const isCancelled = choice.kind === "cancelled";
			return { text: "Nothing was imported.", json: asJson(plan, []), isCancelled };
		}
		chosen = choice.ids;
	}
	// The other tools went on while the question stood: what they renewed meanwhile is spent.
	const current = chosen ? onlyChosen(await look(), plan, chosen) : plan;
	const taken = await deps.imports.take(current);
	const { modelAdvice, usageOf } = await afterAccountsAdded(taken, ctx, deps);
	const how = { modelAdvice, usageOf, total: deps.pool.accounts().length, now: deps.clock.now() };
	const outcome = importOutcome(current, taken, ctx.hasUI ? how : undefined);
	// Who has just chosen from the list need not read it again.
	const text = chosen ? outcome : `${list}\n${outcome}`;
	return { text, json: asJson(current, taken) };
}

type Choice =
	| { readonly kind: "chosen"; readonly ids: ReadonlySet<AccountId> }
	| { readonly kind: "none" | "cancelled" };

/** Lets the person choose among the accounts that can be taken, on a panel or in dialogs. */
async function chooseRows(
	plan: ImportPlan,
	options: ImportListOptions,
	ctx: ExtensionCommandContext,
	{ signal }: SubcommandDeps,
): Promise<Choice> {
	const rows = importRows(plan, options);
	const heading = `Import ${plural(rows.length, "Codex account")}?`;
	const rest = importRest(plan, options);
	if (rest !== undefined) ctx.ui.notify(rest, "info");
	const onPanel =
		modeOf(ctx) === "tui"
			? await openPanel<Choice>(ctx, { signal, ended: { kind: "cancelled" } }, (host) =>
					createImportPanel({
						...host,
						room: host.wholeRoom,
						heading,
						rows,
						onAnswer: (ids) => host.close(ids ? choiceOf(ids) : { kind: "cancelled" }),
					}),
				)
			: undefined;
	return onPanel ?? chooseInDialogs(heading, rows, ctx, signal);
}

function choiceOf(ids: ReadonlySet<AccountId>): Choice {
	return ids.size > 0 ? { kind: "chosen", ids } : { kind: "none" };
}

/** One account is a plain question. Of several each answer that is a row switches it, until one of the others is given. */
async function chooseInDialogs(
	heading: string,
	rows: readonly ImportRow[],
	ctx: ExtensionCommandContext,
	signal: AbortSignal,
): Promise<Choice> {
	const ids = new Set(rows.map(({ id }) => id));
	const [only, ...others] = rows;
	if (only && others.length === 0) {
		const text = `${only.name}, ${only.place}. ${IMPORT_COPIES}`;
		return (await ctx.ui.confirm(heading, text, { signal })) ? choiceOf(ids) : { kind: "none" };
	}
	for (;;) {
		const answer = importAnswer(ids.size, rows.length);
		const choices = rows.map((row) => importChoice(row, ids.has(row.id)));
		const given = await ctx.ui.select(heading, [answer, IMPORT_NOTHING, ...choices], { signal });
		if (given === undefined) return { kind: "cancelled" };
		if (given === IMPORT_NOTHING) return { kind: "none" };
		if (given === answer && ids.size > 0) return choiceOf(ids);
		const row = rows[choices.indexOf(given)];
		if (row && !ids.delete(row.id)) ids.add(row.id);
	}
}

/** What was chosen, as it lies with the other tools now. */
function onlyChosen(current: ImportPlan | undefined, shown: ImportPlan, chosen: ReadonlySet<AccountId>): ImportPlan {
	return { planned: (current?.planned ?? []).filter(({ owner }) => chosen.has(owner.id)), leftOut: shown.leftOut };
}

function optionsOf(tool: ToolName | undefined, { clock }: SubcommandDeps): ImportListOptions {
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
