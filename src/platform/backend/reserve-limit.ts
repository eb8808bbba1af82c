import type { ReserveModel, UsageWindow } from "../../core/usage.ts";

const RESERVE_ID = "base_model_inference";
const WIRE_MODEL = "gpt-reserve";
const RESERVE_IDS: ReadonlySet<string> = new Set([RESERVE_ID, "gpt_reserve"]);

/** Is this the id or the name of the limit of the reserve model, written with underscores or dashes? */
export function isReserveLimit(idOrName: string | undefined): boolean {
	return RESERVE_IDS.has((idOrName ?? "").toLowerCase().replaceAll(/[-\s]/g, "_"));
}

/** The reserve model as one limit tells of it. Its name is the model to ask for, unless it is written for people. */
export function reserveModelFrom(limit: {
	readonly name: string | undefined;
	readonly visibleModel: string | undefined;
	readonly windows: readonly UsageWindow[];
	readonly isReached?: boolean | undefined;
}): ReserveModel {
	const { name = "", visibleModel = "", windows, isReached } = limit;
	const isModel = /^[a-z0-9][a-z0-9.-]*$/.test(name) && name !== RESERVE_ID.replaceAll("_", "-");
	return {
		limitId: RESERVE_ID,
		wireModel: isModel ? name : WIRE_MODEL,
		visibleModel,
		windows,
		...(isReached && { isReached }),
	};
}
