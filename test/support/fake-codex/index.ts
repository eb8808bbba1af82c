/** The fake Codex backend: the only entry for tests, benchmark and demo. */
export {
	type AdditionalLimitInit,
	type CreditsInit,
	FakeAccount,
	type FakeAccountInit,
	type SpendControlInit,
} from "./accounts.ts";
export type { Answer, AnswerContext, AnswerFunction, Refusal, ScriptedAnswer, Step, StreamAnswer } from "./answer.ts";
export { answers } from "./answers.ts";
export { type FunctionCall, type Reasoning, ResponseEvents, reasoningBlob, type TextOptions } from "./events.ts";
export { type TokenAnswer, tokenAnswers } from "./oauth-answers.ts";
export { type QuotaInit, WINDOW_MINUTES, type WindowInit, type WindowName } from "./quota.ts";
export type { RecordedRequest, RequestKind } from "./recorder.ts";
export type { ReserveInit } from "./reserve.ts";
export { type ResetCreditInit, resetCreditAnswers } from "./reset-credits.ts";
export { FakeCodex, type FakeCodexInit, type PiAuthEntry, startFakeCodex } from "./server.ts";
export { CLIENT_ID, type Grant, SECRET_MARK } from "./tokens.ts";
export { type UsageAnswer, usageAnswers } from "./usage.ts";
