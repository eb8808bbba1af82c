import { ownValue } from "../../core/own-value.ts";
import type { UsageApi } from "../../core/ports.ts";
import { numberOf } from "../../core/told-time.ts";
import type { Credits, MeteredLimit, ReserveModel, UsageSnapshot, UsageWindow } from "../../core/usage.ts";
import { boundedWindow, boundedWord, MOST_LIMITS } from "../../core/usage-bounds.ts";
import { backendUrl, callBackend } from "./backend-call.ts";
import { readText } from "./read-body.ts";
import { isReserveLimit, reserveModelFrom } from "./reserve-limit.ts";
import { flagOf, resetIn, usageFromBody } from "./usage-body.ts";

/** Tells the backend that the client can use a reserve model. */
const RESERVE_HEADER = "x-openai-codex-luna-reserve";

const USAGE = { path: "wham/usage", service: "the usage service" };
const TIMEOUT_MS = 15_000;
/** An answer of the backend is a few KiB. */
const LONGEST_ANSWER_BYTES = 1_048_576;

/** Ids of the general limit, the usual one first. Any other id is a limit of certain models. */
const GENERAL_LIMITS = ["codex", "premium"];

/** Creates the client for the usage endpoint next to a model's base URL: `<base>/wham/usage`. */
export function createUsageApi(now: () => number): UsageApi {
	return {
		fetch: async (request, signal) => {
			const { withReserveModel } = request;
			// An answer is as old as its request: a refusal in between is newer.
			const askedAt = now();
			const bounded = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
			const headers = withReserveModel ? { [RESERVE_HEADER]: "1" } : {};
			const response = await callBackend(request, { ...USAGE, headers }, bounded);
			if (!response.ok) {
				await response.body?.cancel();
				throw new Error(`the usage service answered ${response.status}`);
			}
			const body = await readText(response, bounded, LONGEST_ANSWER_BYTES).catch(() => "");
			const snapshot = usageFromBody(body, askedAt, withReserveModel);
			if (!snapshot) throw new Error("the usage service gave an unexpected answer");
			return snapshot;
		},
	};
}

/** Returns `<base>/wham/usage`. The base may already name the responses endpoint. */
export function usageUrl(baseUrl: string): string {
	return backendUrl(baseUrl, USAGE.path);
}

/** Usage in the `x-codex-*` headers of a response. */
interface HeaderUsage {
	/** Undefined without a window of the general limit or of any other limit. */
	readonly snapshot: UsageSnapshot | undefined;
	/** The limit that applies to this request, unless it is the general one. */
	readonly activeLimit: string | undefined;
	/** The windows of the limit that applies. */
	readonly activeWindows: readonly UsageWindow[];
}

const WINDOW_HEADER = /^x-(.+)-(?:primary|secondary)-(?:used-percent|window-minutes|reset-at|reset-after-seconds)$/;

/** Reads the usage headers of a Codex response. Names must be lower-cased. `now` is epoch ms. */
export function usageFromHeaders(headers: Readonly<Record<string, string>>, now: number): HeaderUsage {
	const families = new Set<string>();
	for (const name of Object.keys(headers)) {
		const family = WINDOW_HEADER.exec(name)?.[1];
		if (family) families.add(family);
	}
	const found: [id: string, limit: MeteredLimit][] = [];
	for (const family of families) {
		const id = boundedWord(family.replaceAll("-", "_"));
		const windows = familyWindows(headers, family, now);
		const isGeneral = id !== undefined && GENERAL_LIMITS.includes(id);
		if (id === undefined || isGeneral || windows.length === 0 || isReserveFamily(headers, family)) continue;
		found.push([id, { name: boundedWord(headers[`x-${family}-limit-name`]), windows }]);
	}
	// Not by assignment, since an id may be the name of an inherited member.
	const limits: Readonly<Record<string, MeteredLimit>> = Object.fromEntries(found.slice(0, MOST_LIMITS));
	const activeId = boundedWord(headers["x-codex-active-limit"]?.toLowerCase().replaceAll("-", "_"));
	const windows = generalWindows(headers, activeId, now);
	const isOfSomeModels = activeId !== undefined && !GENERAL_LIMITS.includes(activeId) && !isReserveLimit(activeId);
	const activeLimit = isOfSomeModels ? activeId : undefined;
	const reserveModel = reserveModelOf(headers, families, now);
	const known = windows.length > 0 || Object.keys(limits).length > 0 || reserveModel !== undefined;
	return {
		snapshot: known
			? {
					capturedAt: now,
					source: "headers",
					plan: boundedWord(headers["x-codex-plan-type"]),
					windows,
					limits,
					credits: creditsOf(headers),
					limitReached: false,
					...(reserveModel && { reserveModel }),
				}
			: undefined,
		activeLimit,
		activeWindows: activeLimit ? (ownValue(limits, activeLimit)?.windows ?? []) : windows,
	};
}

/** Returns the windows of the general limit under whichever of its names the headers report them. */
function generalWindows(headers: Readonly<Record<string, string>>, activeId: string | undefined, now: number) {
	const reported = GENERAL_LIMITS.map((id) => ({ id, windows: familyWindows(headers, id, now) })).filter(
		({ windows }) => windows.length > 0,
	);
	return (reported.find(({ id }) => id === activeId) ?? reported[0])?.windows ?? [];
}

function isReserveFamily(headers: Readonly<Record<string, string>>, family: string): boolean {
	return isReserveLimit(family) || isReserveLimit(headers[`x-${family}-limit-name`]);
}

/** Headers may not say which model the reserve stands for. The endpoint does. */
function reserveModelOf(
	headers: Readonly<Record<string, string>>,
	families: ReadonlySet<string>,
	now: number,
): ReserveModel | undefined {
	const family = [...families].find((each) => isReserveFamily(headers, each));
	if (family === undefined) return undefined;
	const windows = familyWindows(headers, family, now);
	if (windows.length === 0) return undefined;
	return reserveModelFrom({
		name: boundedWord(headers[`x-${family}-limit-name`]),
		visibleModel: boundedWord(headers[`x-${family}-normal-model-slug`]),
		windows,
	});
}

function familyWindows(headers: Readonly<Record<string, string>>, family: string, now: number): UsageWindow[] {
	return ["primary", "secondary"].flatMap((place) => {
		const field = (name: string) => headers[`x-${family}-${place}-${name}`];
		const window = {
			usedPercent: numberOf(field("used-percent")),
			windowMinutes: numberOf(field("window-minutes")),
			resetsAt: resetIn(field("reset-at"), field("reset-after-seconds"), now),
		};
		return boundedWindow(window, now) ?? [];
	});
}

function creditsOf(headers: Readonly<Record<string, string>>): Credits | undefined {
	const hasCredits = flagOf(headers["x-codex-credits-has-credits"]);
	if (hasCredits === undefined) return undefined;
	return {
		hasCredits,
		unlimited: flagOf(headers["x-codex-credits-unlimited"]) === true,
		balance: boundedWord(headers["x-codex-credits-balance"]),
	};
}
