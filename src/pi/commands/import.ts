import { homedir } from "node:os";
import type { ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import { type ImportPlan, isTaken, type ToolName } from "../../domain/import.ts";
import { nearest } from "../../domain/nearest.ts";
import { plural } from "../../ui/format.ts";
import {
	type ImportListOptions,
	importFailure,
	importList,
	importOutcome,
	isWorthTaking,
} from "../../ui/import-list.ts";
import * as messages from "../../ui/messages.ts";
import { askToAct } from "../question.ts";
import { afterJoining } from "./joined.ts";
import { isFirst, type Outcome, reference, type Subcommand, type SubcommandDeps, sorted } from "./subcommand.ts";

const DRY_RUN = "--dry-run";

/** `/multicodex import`: take accounts over from other tools. */
export const importAccounts: Subcommand = {
	name: "import",
	usage: "import [tool|path] [--dry-run]",
	summary: "take accounts over from other tools",
	complete: ({ imports }, before) => {
		const tools = isFirst(before) ? imports.tools.map((tool) => ({ value: tool, label: tool })) : [];
		const dryRun = { value: DRY_RUN, label: DRY_RUN, description: "only show what would be taken" };
		return before.includes(DRY_RUN) ? tools : [...tools, dryRun];
	},
	run: async (words, ctx, deps) => {
		const given = sorted(words, [DRY_RUN], importAccounts);
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
	if (isAnnounced && ctx.hasUI) {
		const many = plan.planned.filter(isTaken).length;
		// A dialog has no room for a long list, and would push its own answers off the screen.
		ctx.ui.notify(list, "info");
		const question = {
			heading: `Import ${plural(many, "Codex account")}?`,
			text: "The list above says which. These are copied; the other tools keep theirs.",
			act: "Yes, import",
			keep: "No, import nothing",
			isHarmless: true,
		};
		const answer = await askToAct(ctx, question, deps.signal);
		const isCancelled = answer === "cancelled";
		if (answer !== "act") return { text: "Nothing was imported.", json: asJson(plan, []), isCancelled };
	}
	// The other tools went on while the question stood: what they renewed meanwhile is spent.
	const current = isAnnounced && ctx.hasUI ? onlyShown(await look(), plan) : plan;
	const taken = await deps.imports.take(current);
	const outcome = `${importOutcome(current, taken)}${await afterJoining(taken, ctx, deps)}`;
	// Who has just said yes to the list need not read it again.
	const text = isAnnounced && ctx.hasUI ? outcome : `${list}\n${outcome}`;
	return { text, json: asJson(current, taken) };
}

function onlyShown(current: ImportPlan | undefined, shown: ImportPlan): ImportPlan {
	const agreed = new Set(shown.planned.filter(isTaken).map(({ owner }) => owner.id));
	return { planned: (current?.planned ?? []).filter(({ owner }) => agreed.has(owner.id)), leftOut: shown.leftOut };
}

function optionsOf(tool: ToolName | undefined, { clock }: SubcommandDeps): ImportListOptions {
	return { home: homedir(), now: clock.now(), tool };
}

function asJson({ planned, leftOut }: ImportPlan, taken: Parameters<typeof reference>[0][]): unknown {
	return {
		found: planned.map(({ found, owner, verdict, isOwnerActive }) => {
			return { tool: found.tool, path: found.path, account: owner.id, verdict, ownerActive: isOwnerActive };
		}),
		leftOut: leftOut.map(({ tool, path, reason }) => ({ tool, path, reason })),
		imported: taken.map(reference),
	};
}
