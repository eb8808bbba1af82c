import { tellDefect } from "../../core/defect-reports.ts";
import { dayOf, type Ledger, type LedgerRow } from "../../core/ledger/ledger.ts";
import { GROUPINGS, PERIODS, type Report, reportOf } from "../../core/ledger/ledger-report.ts";
import type { Pool } from "../../core/pool/pool.ts";
import type { Clock, SettingsStore } from "../../core/ports.ts";
import {
	type CommandContext,
	type Completion,
	type Failure,
	type Outcome,
	parseOptions,
	reasonOf,
	type Subcommand,
	usageError,
} from "../../pi/command.ts";
import { unknownWord } from "../../pi/command-texts.ts";
import { discardingTypeahead } from "../../pi/discard-typeahead.ts";
import { followReads } from "../../pi/follow-reads.ts";
import { columnsNow, modeOf } from "../../pi/output.ts";
import { openPanel } from "../../pi/panel.ts";
import { askToAct } from "../../pi/question.ts";
import { nearest } from "../../ui-kit/nearest.ts";
import { createUsagePanel, type Look } from "./panel.ts";
import { PERIOD_WORDS } from "./texts.ts";
import { type UsageView, usageAsJson, usageAsText } from "./view.ts";

interface Args extends Look {
	readonly asJson: boolean;
	readonly isForgetting: boolean;
	/** True if `--yes` was typed. */
	readonly isSure: boolean;
}

interface Ports {
	readonly ledger: Ledger;
	readonly pool: Pick<Pool, "accounts" | "emit">;
	readonly settings: Pick<SettingsStore, "read">;
	readonly clock: Clock;
}

const USAGE = "usage [today|week|month|all] [--by account|project|model|day] [--json] | usage --forget [--yes]";
const OPTIONS = ["--by", "--json", "--forget", "--yes"];
const KNOWN: readonly string[] = [...PERIODS, ...GROUPINGS];
const USUAL: Look = { period: "week", by: "account" };

const FORGET_QUESTION = {
	heading: "Delete what was counted?",
	text: "This deletes codex-ledger.jsonl: requests, tokens, costs and the names of project folders. Accounts and their quota stay as they are.",
	act: "Delete it",
	keep: "Keep it",
};

/** `/multicodex usage`: shows what was used, by account, project, model or day. A panel in the terminal. */
export function createUsage(ports: Ports): Subcommand<Args> {
	return {
		name: "usage",
		usage: USAGE,
		summary: "requests, tokens and costs, by account, project, model or day",
		isPanel: (words) => !words.some((word) => word === "--json" || word === "--forget"),
		complete,
		parse,
		run: async (args, ctx) => {
			if (args.isForgetting) return forget(args.isSure, ctx, ports);
			const isShown = modeOf(ctx.host) === "tui" && !args.asJson && (await onScreen(args, ctx, ports));
			if (isShown) return { text: "", json: null };
			const rows = await ports.ledger.read();
			const view = viewOf(reportOf(rows, args.period, args.by, ports.clock.now()), ports);
			return { text: usageAsText(view, columnsNow()), json: usageAsJson(view), asJson: args.asJson };
		},
	};
}

function complete(before: readonly string[]): Completion[] {
	if (before.includes("--forget")) {
		const yes = { value: "--yes", label: "--yes", description: "delete without a question" };
		return before.includes("--yes") ? [] : [yes];
	}
	if (before.at(-1) === "--by") return GROUPINGS.map((value) => ({ value, label: value }));
	const isGiven = (value: string) => before.includes(value);
	const periods = PERIODS.some(isGiven)
		? []
		: PERIODS.map((value) => ({ value, label: value, description: PERIOD_WORDS[value] }));
	const options = [
		{ value: "--by", label: "--by", description: "account, project, model or day" },
		{ value: "--json", label: "--json", description: "as one JSON document" },
	].filter(({ value }) => !isGiven(value));
	const forgets = { value: "--forget", label: "--forget", description: "delete what was counted" };
	return [...periods, ...options, ...(before.length === 0 ? [forgets] : [])];
}

function parse(words: readonly string[]): Args | Failure {
	const given = parseOptions(words, OPTIONS, USAGE);
	if ("failure" in given) return given;
	const { options, rest } = given;
	const isForgetting = options.has("--forget");
	const isSure = options.has("--yes");
	const asJson = options.has("--json");
	const periods = PERIODS.filter((each) => rest.includes(each));
	const groupings = GROUPINGS.filter((each) => rest.includes(each));
	const others = rest.filter((word) => !KNOWN.includes(word));
	if (others.length > 0) return usageError(USAGE, unknownWord(others, nearest(others.join(" "), KNOWN)));
	const isOdd = rest.length > periods.length + groupings.length || periods.length > 1 || groupings.length > 1;
	const isByMissing = options.has("--by") !== groupings.length > 0;
	const isAloneBroken = isForgetting ? rest.length > 0 || asJson : isSure;
	if (isOdd || isByMissing || isAloneBroken) return usageError(USAGE);
	const [period = USUAL.period] = periods;
	const [by = USUAL.by] = groupings;
	return { period, by, asJson, isForgetting, isSure };
}

function viewOf(report: Report, { pool, settings }: Ports): UsageView {
	return { report, accounts: pool.accounts(), isOn: settings.read().ledger };
}

/**
 * Creates a function that makes reports. It returns the same one as long as nothing in it can differ, since a panel
 * redraws every second.
 */
function createReports(): (rows: readonly LedgerRow[], look: Look, now: number) => Report {
	let last: { readonly rows: readonly LedgerRow[]; readonly look: string; readonly report: Report } | undefined;
	return (rows, { period, by }, now) => {
		const look = `${period} ${by} ${dayOf(now)}`;
		if (last?.rows !== rows || last.look !== look) last = { rows, look, report: reportOf(rows, period, by, now) };
		return last.report;
	};
}

/** Shows the panel until it is closed; false if this pi cannot show one. */
async function onScreen(look: Look, ctx: CommandContext, ports: Ports): Promise<boolean> {
	const { ledger, pool, clock } = ports;
	const open = (held: CommandContext) =>
		openPanel<"closed">(held, { ended: "closed" }, (panel) => {
			let rows: readonly LedgerRow[] | undefined;
			const reports = createReports();
			const follower = followReads({
				read: ledger.read,
				follow: ledger.follow,
				onRead: (read) => {
					rows = read;
					panel.repaint();
				},
				onFailure: (error) => tellDefect(error, "command", pool.emit),
			});
			panel.onClose(follower.stop);
			return createUsagePanel({
				...panel,
				look,
				view: (wanted) => rows && viewOf(reports(rows, wanted, clock.now()), ports),
				close: () => panel.close("closed"),
			});
		});
	return (await discardingTypeahead(ctx, clock, open)) !== undefined;
}

/** Deletes the ledger after consent: the answer to a question, or `--yes`. */
async function forget(isSure: boolean, ctx: CommandContext, { ledger, pool }: Ports): Promise<Outcome> {
	if (!isSure && !ctx.host.hasUI) {
		return { failure: "Add --yes to delete what was counted: /multicodex usage --forget --yes" };
	}
	const answer = isSure ? "act" : await askToAct(ctx, FORGET_QUESTION);
	if (answer !== "act") {
		return { text: "Nothing was deleted.", json: { forgotten: false }, isCancelled: answer === "cancelled" };
	}
	try {
		const isGone = await ledger.forget();
		const text = isGone ? "Deleted what was counted." : "Nothing had been counted.";
		return { text, json: { forgotten: isGone } };
	} catch (error) {
		tellDefect(error, "command", pool.emit);
		return { failure: `Nothing was deleted: ${reasonOf(error)}.` };
	}
}
