import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AnswerFunction, answers } from "../support/fake-codex/index.ts";
import { type HostName, prepareHost } from "../support/hosts.ts";
import type { Answer, Pair, Round, Side, Times } from "./in-pi/jobs.ts";
import { type Place, runInPi } from "./in-pi/run.ts";
import { keep, line, median, option, quantile } from "./options.ts";
import { packageInto } from "./package.ts";

/**
 * What a request costs over sockets of the loopback interface: inside a real pi, thousands of requests in pairs, one
 * with the package and one on pi's own stream function, each first every other time. The backend runs in another
 * process, and answers at once, so that nothing hides what is added; then also as slowly as a fast model. Then 100
 * streams at a time. `--host 1.6.0`, `--pairs 2000`, `--deltas 200`, `--rounds 10`, `--json <file>`.
 */

const PAIRS = Number(option("pairs") ?? 2000);
const DELTAS = Number(option("deltas") ?? 200);
const ROUNDS = Number(option("rounds") ?? 10);
/** What takes its time is asked less often. */
const TOTALS = { short: PAIRS, long: PAIRS, paced: Math.ceil(PAIRS / 20) };
const WARM_UP = Math.min(200, PAIRS);
const PARALLEL = 100;
/** Node 20, which runs the oldest one, has no WebSocket of its own: there pi takes to HTTP. */
const TRANSPORTS = { "0.73.1": ["sse"], "1.6.0": ["sse", "auto"] } as const;

/** Of the pairs on one host, over one transport. What an event costs is what a long answer takes beyond a short one. */
function pairFigures({ short, long, paced }: Readonly<Record<Answer, readonly Pair[]>>) {
	// Other work on the machine makes most requests longer, by much more than what is looked for.
	const of = (pairs: readonly Pair[], side: Side, name: keyof Times) =>
		quantile(
			pairs.map((pair) => pair[side][name]),
			0.1,
		);
	const compared = (pairs: readonly Pair[], name: keyof Times) => {
		const plain = of(pairs, "plain", name);
		return { plain, added: of(pairs, "ours", name) - plain };
	};
	const perEvent = (side: Side) => (1000 * (of(long, side, "total") - of(short, side, "total"))) / (DELTAS - 1);
	return {
		firstMs: compared(short, "first"),
		eventUs: { plain: perEvent("plain"), added: perEvent("ours") - perEvent("plain") },
		pacedMs: compared(paced, "total"),
	};
}

function roundFigures(rounds: readonly Readonly<Record<Side, Round>>[]) {
	const each = rounds.map(({ ours, plain }) => ({
		cpuMs: (ours.cpuMs - plain.cpuMs) / PARALLEL,
		cpuRatio: ours.cpuMs / plain.cpuMs,
		wallRatio: ours.wallMs / plain.wallMs,
		firstRatio: median(ours.times.map(({ first }) => first)) / median(plain.times.map(({ first }) => first)),
	}));
	const of = (name: keyof (typeof each)[number]) => median(each.map((round) => round[name]));
	return { cpuMs: of("cpuMs"), cpuRatio: of("cpuRatio"), wallRatio: of("wallRatio"), firstRatio: of("firstRatio") };
}

const folder = mkdtempSync(join(realpathSync(tmpdir()), "bench-"));
const extension = await packageInto(join(folder, "package"));
const long = answers.text("", { tokens: Array.from({ length: DELTAS }, () => "word ") });
const short = answers.text("", { tokens: ["word "] });
const paced = answers.text("", { tokens: Array.from({ length: 40 }, () => "word "), beforeHeadersMs: 40, delayMs: 2 });
const answerFor: AnswerFunction = ({ bodyText }) => {
	if (bodyText.includes("a paced answer")) return paced;
	return bodyText.includes("a long answer") ? long : short;
};
const all: Record<string, unknown>[] = [];

async function measure(name: HostName, transports: readonly ("sse" | "auto")[]): Promise<void> {
	const place: Place = {
		host: await prepareHost(name),
		extension,
		folder,
		prepare: ({ accounts }) => {
			for (const account of accounts) account.always(answerFor);
		},
	};
	for (const transport of transports) {
		const kind = transport === "sse" ? "responses" : "websocket-request";
		const { pairs } = await runInPi({ kind: "pairs", transport, pairs: TOTALS, warmUp: WARM_UP }, place, (codex) => {
			const served = codex.requestsOf(kind).length;
			if (served < 4 * (PAIRS + WARM_UP)) throw new Error(`${served} requests came as ${kind}`);
		});
		const figures = pairFigures(pairs);
		const way = `pi ${name}, ${transport === "sse" ? "HTTP" : "WebSocket"}`;
		const { firstMs, eventUs, pacedMs } = figures;
		line(`${way}: added to the first token`, `${firstMs.added.toFixed(3)} ms, plain ${firstMs.plain.toFixed(2)} ms`);
		line(`${way}: added to each further event`, `${eventUs.added.toFixed(2)} µs, plain ${eventUs.plain.toFixed(1)} µs`);
		const share = (100 * pacedMs.added) / pacedMs.plain;
		line(
			`${way}: added to an answer of ${pacedMs.plain.toFixed(0)} ms`,
			`${pacedMs.added.toFixed(2)} ms, ${share.toFixed(2)} %`,
		);
		all.push({ host: name, transport, ...figures, pairs });
	}
	const { rounds } = await runInPi({ kind: "parallel", streams: PARALLEL, rounds: ROUNDS }, place);
	const figures = roundFigures(rounds);
	const { cpuMs, cpuRatio, wallRatio, firstRatio } = figures;
	const ratios = `${cpuRatio.toFixed(2)} times the processor time, ${wallRatio.toFixed(2)} times the whole`;
	line(`pi ${name}: ${PARALLEL} streams at once, added to each`, `${cpuMs.toFixed(3)} ms of processor time`);
	line(`pi ${name}: the same, to plain pi`, `${ratios}, ${firstRatio.toFixed(2)} times to the first token`);
	all.push({ host: name, parallel: PARALLEL, ...figures, rounds });
}

try {
	for (const [name, transports] of Object.entries(TRANSPORTS)) {
		if (name === (option("host") ?? name)) await measure(name, transports);
	}
	keep({ pairs: TOTALS, deltas: DELTAS, figures: all });
} finally {
	rmSync(folder, { recursive: true, force: true });
}
