/** The message of a cancelled sign-in; pi shows nothing on exactly this one. */
export const LOGIN_CANCELLED = "Login cancelled";
