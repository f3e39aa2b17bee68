"""What can be wrong with a request as such, before anybody looks at what it is about."""

from service.domain.errors import Invalid, Retryable, ZendingError


class RequestMalformed(Invalid):
    """The request itself can't be read, whatever it is about."""

    code = "request_malformed"
    sentence = "The request can't be read."


class NotAcceptable(ZendingError):
    """The thing exists, but not in a form that the caller's Accept header allows."""

    code = "not_acceptable"
    sentence = "This is not offered in the form that the Accept header asks for."


class MediaTypeUnsupported(ZendingError):
    """The body is of a kind that this call does not take."""

    code = "media_type_unsupported"
    sentence = "This call does not take a body of this media type."


class UploadTooSlow(ZendingError):
    """The body of a request arrived too slowly to go on waiting for it."""

    code = "upload_too_slow"
    sentence = "The request's body took too long to arrive."


class Busy(Retryable):
    """As many uploads as this process may hold in memory are on their way."""

    code = "busy"
    sentence = "The service is busy with other uploads. Send the same request again in a moment."
