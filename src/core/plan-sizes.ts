import type { UsageSnapshot } from "./usage.ts";

/** A plus account's month in the backend's own credits: its week of 7,560, over thirty days. */
const PLUS_MONTH_CREDITS = 32_400;
const LARGEST_FACTOR = 20;

/**
 * How much larger than a plus account's the windows of a plan are. Names are those of the backend; where the size of one
 * was never told, it stands with the plan that it is a kind of.
 */
const PLAN_FACTORS: ReadonlyMap<string, number> = new Map([
	["guest", 0.15],
	["free", 0.15],
	["free_workspace", 0.15],
	["go", 0.15],
	["plus", 1],
	["team", 1],
	["business", 1],
	["self_serve_business_usage_based", 1],
	["edu", 1],
	["education", 1],
	["k12", 1],
	["quorum", 1],
	["sci", 1],
	["prolite", 5],
	["self_serve_business_prolite", 5],
	["pro", 6.7],
	["promax", 6.7],
	["edu_pro", 6.7],
	["hc", 6.7],
	["ent26", 6.7],
]);

/** `enterprise`, and all that begins so: `enterprise_cbp_automation`, `_trial`, `_usage_based`. */
const ENTERPRISE = "enterprise";
const ENTERPRISE_FACTOR = 6.7;

/**
 * How many plus accounts one of this plan is worth. A plan without a name here counts as plus, and as more where the size
 * of its monthly budget says so; never as the smallest.
 */
export function planFactor(plan: string | undefined, usage: UsageSnapshot | undefined): number {
	const name = (plan ?? "").toLowerCase();
	const known = name.startsWith(ENTERPRISE) ? ENTERPRISE_FACTOR : PLAN_FACTORS.get(name);
	if (known !== undefined) return known;
	const largest = Math.max(0, ...(usage?.budgets ?? []).map(({ limit = 0 }) => limit));
	return Math.min(LARGEST_FACTOR, Math.max(1, largest / PLUS_MONTH_CREDITS));
}
