"""The REST API: finds the object, calls one method of the layers below, translates the answer."""
