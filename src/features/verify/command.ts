import { type ExtensionCommandContext, VERSION } from "@mariozechner/pi-coding-agent";
import { type Outcome, parseOptions, type Subcommand, type SubcommandDeps, usageError } from "../../pi/command.ts";
import { isOnPlanLogin } from "../../pi/plan-login.ts";
import { baseUrlOf, rivalIn } from "../../pi/provider.ts";
import { diagnose, hasProblem } from "./rules.ts";
import { verifiedAsJson, verifiedAsText } from "./view.ts";

const JSON_OPTION = "--json";
const FIX = "--fix";

/** Variables that change what we do, or where our requests go. Their values are nobody's business here. */
const VARIABLES = [
	"PI_CODING_AGENT_DIR",
	"PI_MULTICODEX_AUTH_URL",
	"CODEX_HOME",
	"PRODEX_HOME",
	"NODE_EXTRA_CA_CERTS",
	"NODE_USE_ENV_PROXY",
	"HTTP_PROXY",
	"http_proxy",
	"HTTPS_PROXY",
	"https_proxy",
	"ALL_PROXY",
	"all_proxy",
	"NO_PROXY",
	"no_proxy",
];
/** Only this value of it switches anything. */
const TLS = { name: "NODE_TLS_REJECT_UNAUTHORIZED", value: "0" };

/** `/multicodex verify`: what is wrong, and what to do about it. Changes nothing without `--fix`. */
export const verify: Subcommand = {
	name: "verify",
	usage: "verify [--json] [--fix]",
	summary: "what is wrong, and what to do about it",
	isLookOnly: true,
	complete: (_deps, before) =>
		[
			{ value: JSON_OPTION, label: JSON_OPTION, description: "as one JSON document" },
			{ value: FIX, label: FIX, description: "repair permissions, stale locks and damaged files" },
		].filter(({ value }) => !before.includes(value)),
	run: async (words, ctx, deps) => {
		const given = parseOptions(words, [JSON_OPTION, FIX], verify);
		if ("failure" in given) return given;
		if (given.rest.length > 0) return usageError(verify);
		return verified(ctx, given.options, deps);
	},
};

async function verified(
	ctx: ExtensionCommandContext,
	options: ReadonlySet<string>,
	{ health, settings, clock, eventLog }: SubcommandDeps,
): Promise<Outcome> {
	const isFixing = options.has(FIX);
	const repairs = isFixing ? await health.repair() : [];
	const [disk, endpoints, decisions] = await Promise.all([
		health.look(),
		health.reach(baseUrlOf(ctx)),
		eventLog.read(Number.MAX_SAFE_INTEGER),
	]);
	const findings = diagnose({
		...disk,
		endpoints,
		now: clock.now(),
		isEnabled: settings.read().enabled,
		hostVersion: VERSION,
		nodeVersion: process.versions.node,
		isOnPlanLogin: isOnPlanLogin(ctx.model, () => disk.hasPlanLogin === true),
		rival: rivalIn(ctx),
		defects: decisions.filter(({ kind }) => kind === "defect").length,
		environment: [
			...VARIABLES.filter((name) => process.env[name]),
			...(process.env[TLS.name] === TLS.value ? [TLS.name] : []),
		],
	});
	const seen = { findings, repairs, isFixing, accounts: disk.accounts };
	return {
		text: verifiedAsText(seen),
		json: verifiedAsJson(seen),
		asJson: options.has(JSON_OPTION),
		isFailing: hasProblem(findings),
	};
}
