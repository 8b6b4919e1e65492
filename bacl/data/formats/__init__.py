"""Folders of other tools' annotations (YOLO, Pascal VOC), made into jsons once."""
